"""Permissions of Facebook Login, and the webhook fields of a Page with what each needs."""

PERMISSIONS = (
    "pages_manage_metadata",
    "pages_show_list",
    "pages_read_engagement",
    "pages_messaging",
    "pages_read_user_content",
    "pages_manage_engagement",
    "instagram_basic",
    "instagram_manage_messages",
    "instagram_manage_comments",
    "business_management",
    "leads_retrieval",
    "human_agent",
    "whatsapp_business_messaging",
    "whatsapp_business_management",
)
"""What can be asked for and refused, beside `email`; `public_profile` is always granted."""

BASIC = "public_profile"
ASKABLE = frozenset({*PERMISSIONS, BASIC, "email"})
DEFAULT_SCOPES = (
    BASIC,
    "email",
    "pages_show_list",
    "pages_manage_metadata",
    "pages_messaging",
    "pages_read_engagement",
    "pages_read_user_content",
    "pages_manage_engagement",
)
"""What a Configuration of the app asks for where none was set up: messages and comments."""

WORDS = {
    BASIC: "Your name and profile picture",
    "email": "Your e-mail address",
    "pages_show_list": "Show a list of the Pages you manage",
    "pages_manage_metadata": "Manage accounts, settings and webhooks for a Page",
    "pages_messaging": "Manage and access Page conversations in Messenger",
    "pages_read_engagement": "Read content posted on the Page",
    "pages_read_user_content": "Read user content on your Page",
    "pages_manage_engagement": "Create and manage comments on a Page",
    "instagram_basic": "Access profile and posts of the linked Instagram account",
    "instagram_manage_messages": "Manage and access conversations on Instagram",
    "instagram_manage_comments": "Manage comments of the linked Instagram account",
    "business_management": "Manage your business portfolio",
    "leads_retrieval": "Access leads for your Pages",
}
"""How the dialog says what a permission allows; another one is shown by its name."""

MESSAGING_FIELDS = frozenset(
    {
        "messages",
        "message_deliveries",
        "message_echoes",
        "message_edits",
        "message_reactions",
        "message_reads",
        "messaging_account_linking",
        "messaging_customer_information",
        "messaging_feedback",
        "messaging_handovers",
        "messaging_optins",
        "messaging_policy_enforcement",
        "messaging_postbacks",
        "messaging_referrals",
        "response_feedback",
        "send_cart",
        "standby",
    }
)
OTHER_FIELDS = frozenset({"feed", "inbox_labels", "leadgen", "mention", "name", "ratings"})
PAGE_FIELDS = MESSAGING_FIELDS | OTHER_FIELDS
"""Fields of a Page; names of Instagram's (`messaging_seen`, `message_edit`) are none."""

PERMISSION_OF = {
    **dict.fromkeys(MESSAGING_FIELDS, "pages_messaging"),
    "leadgen": "leads_retrieval",
    "feed": "pages_read_user_content",
}
"""Which permission a field needs beside `pages_manage_metadata`."""

FIELD_OF = {
    "message": "messages",
    "echo": "message_echoes",
    "message_edit": "message_edits",
    "delivery": "message_deliveries",
    "read": "message_reads",
    "reaction": "message_reactions",
    "postback": "messaging_postbacks",
    "referral": "messaging_referrals",
    "optin": "messaging_optins",
    "pass_thread_control": "messaging_handovers",
    "take_thread_control": "messaging_handovers",
    "request_thread_control": "messaging_handovers",
    "app_roles": "messaging_handovers",
    "policy_enforcement": "messaging_policy_enforcement",
    "account_linking": "messaging_account_linking",
    "response_feedback": "response_feedback",
    "order": "send_cart",
    "template_coupon": "messages",
    **{field: field for field in OTHER_FIELDS},
}
"""The phone's kinds of event, and changes, with the field under which each is delivered."""
