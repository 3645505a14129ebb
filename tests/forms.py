"""The forms of a page, as a browser without scripts would send them."""

from html.parser import HTMLParser

Field = tuple[str, str]


class Forms(HTMLParser):
    """Address and fields of each form; of its boxes those that are ticked."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, list[Field]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            assert told["method"] == "post"
            self.forms.append((told["action"], []))
        elif tag == "input" and (told["type"] == "hidden" or "checked" in told):
            self.forms[-1][1].append((told["name"], told["value"]))

    def to(self, ends: str) -> tuple[str, list[Field]]:
        """The form whose address `ends` so."""
        return next(form for form in self.forms if form[0].endswith(ends))
