"""`mrm token`: an access token of one of the local stack's people."""

from typing import Annotated

import typer

from local_stack.people import access_token
from mrm.console import DEFAULT_DATA, MISUSED, CommandError, DataOption, JsonOption, Output, running_stack


def token(
    person: Annotated[str, typer.Argument(help="monitor, focal, technical, cochair_un, cochair_unicef, officer, auditor or operator.")],
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Print an access token of one of the local people, good for five minutes.

    Works on a local stack only: nowhere else does this command know anybody's password.
    """
    output = Output(as_json=as_json)
    stack = running_stack(data)
    people = sorted(path.name for path in (stack.folder.secrets / "people").glob("[!.]*"))
    if person not in people:
        raise CommandError(f"Nobody here is called {person!r}.", remedy=f"The people of this stack: {' '.join(people)}.", code=MISUSED)
    text = access_token(stack.issuer, stack.folder.secrets, person)
    if as_json:
        output.result({"person": person, "token": text}, text)
    else:
        typer.echo(text)
