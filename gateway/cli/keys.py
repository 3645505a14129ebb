"""`gateway keys`: API keys of the CRM core and of operators."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import Json, fields, note, rows, when, write_json
from gateway.cli.parts import parts

if TYPE_CHECKING:
    from storage.api_keys import ApiKey

app = typer.Typer(help="API keys of the CRM core and of operators.", no_args_is_help=True)


@app.command()
def create(
    role: Annotated[str, typer.Option(help="crm, operator or admin.")],
    tenant: Annotated[str | None, typer.Option(help="Bind it to one tenant.")] = None,
    name: Annotated[str, typer.Option(help="For people.")] = "",
    as_json: Json = False,
) -> None:
    """Make a key and print it: the only time that it is shown."""
    from gateway.connecting import check_tenant
    from storage.api_keys import ApiKeys

    if tenant is not None:
        check_tenant(tenant)
    with parts() as built:
        key, clear = ApiKeys(built.database).create(role, tenant, name)
    if as_json:
        write_json({"key": clear, **_shown(key)})
        return
    note(f"{key.id}: role {key.role}, {_reach(key)}. It is not shown again.")
    typer.echo(clear)


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """All keys, revoked ones too; never the keys themselves."""
    from storage.api_keys import ApiKeys

    with parts() as built:
        found = [_shown(key) for key in ApiKeys(built.database).list()]
    if as_json:
        write_json(found)
        return
    columns = ["id", "name", "role", "tenant", "created_at", "revoked_at"]
    rows(columns, found, empty="There are no keys yet: gateway keys create --role crm")


@app.command()
def revoke(id: Annotated[str, typer.Argument(help="key_…")], as_json: Json = False) -> None:  # noqa: A002
    """Revoke a key for good; edges refuse it within seconds."""
    from storage.api_keys import ApiKeys

    with parts() as built:
        key = _shown(ApiKeys(built.database).revoke(id))
    write_json(key) if as_json else fields(key)


def _shown(key: "ApiKey") -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "tenant": key.tenant,
        "created_at": when(key.created_at_ms),
        "revoked_at": when(key.revoked_at_ms),
    }


def _reach(key: "ApiKey") -> str:
    return f"tenant {key.tenant}" if key.tenant else "all tenants"
