"""``schemas``: the Avro schemas of topics, in the registry."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

from cyclopts import App, Parameter

from watersmeet.core.address import parse_address
from watersmeet.core.errors import RequestError
from watersmeet.core.schemas import Schemas, check_level
from watersmeet.core.topic import Topic
from watersmeet.layers.schemas import Proposal, propose
from watersmeet.layers.schemas import register as register_all
from watersmeet.runtime import wiring
from watersmeet.runtime.node import Node

from .context import DEFAULT, Common, open_node
from .output import print_json, print_rows, say

group = App(name="schemas", help="List, check and register the Avro schemas of topics.", help_format="plaintext")
Registry = Annotated[str | None, Parameter(name="--registry")]


@group.command(name="list")
def listing(*, registry: Registry = None, common: Common = DEFAULT) -> int:
    """List the subjects of the registry.

    Parameters
    ----------
    registry:
        Its URL; default stores.schemas of the settings, else the app's own.
    """
    rows = []
    with closing(_open(registry, common)) as schemas:
        for subject in schemas.subjects():
            versions = schemas.versions(subject)
            latest = versions[-1].id if versions else None
            rows.append({"subject": subject, "level": schemas.level(subject), "versions": len(versions), "id": latest})
    if common.json:
        print_json(rows)
    else:
        print_rows(rows, ("subject", "level", "versions", "id"))
    return 0


@group.command
def check(*topics: str, level: str | None = None, registry: Registry = None, common: Common = DEFAULT) -> int:
    """Check whether the schemas of the files can be registered, and whether the topics read what is there.

    Parameters
    ----------
    topics:
        Which; default all in Avro.
    level:
        That the subjects shall have; default what they have, and BACKWARD for a new one.
    registry:
        Its URL; default stores.schemas of the settings, else the app's own.
    """
    with closing(_open(registry, common)) as schemas:
        found = _proposals(schemas, topics, level, common)
    if common.json:
        print_json([_facts(each) for each in found])
    else:
        for each in found:
            _tell(each)
    return 1 if any(each.complaints for each in found) else 0


@group.command
def register(*topics: str, level: str | None = None, registry: Registry = None, common: Common = DEFAULT) -> int:
    """Register the schemas of the files, checked first: all of them, or none.

    Parameters
    ----------
    topics:
        Which; default all in Avro.
    level:
        That the subjects shall have; default what they have, and BACKWARD for a new one.
    registry:
        Its URL; default stores.schemas of the settings, else the app's own.
    """
    with closing(_open(registry, common)) as schemas:
        found = _proposals(schemas, topics, level, common)
        ids = register_all(schemas, found)
    if common.json:
        print_json(ids)
    else:
        for each in found:
            known = "" if each.id is None else ", as before"
            say(f"{each.subject}: id {ids[each.topic]}, level {each.level}{known}")
    return 0


@group.command
def forget(id: int, *, common: Common = DEFAULT) -> int:
    """Ask the registry again about an id that it did not know when a record named it.

    Parameters
    ----------
    id:
        Of the schema.
    """
    with closing(open_node(common).parts.schemas) as schemas:
        is_forgotten = schemas.forget(id)
    if not is_forgotten:
        raise RequestError(f"schema {id}", kind="unknown", expected="an id that was found to be unknown")
    say(f"schema {id} will be asked for again; replay its dead letters with 'watersmeet dead-letters replay'")
    return 0


def _open(registry: str | None, common: Common) -> Schemas:
    if registry is not None:
        return wiring.open_schemas(parse_address(registry))
    return open_node(common).parts.schemas


def _proposals(schemas: Schemas, topics: tuple[str, ...], level: str | None, common: Common) -> list[Proposal]:
    wanted = check_level(level) if level else None
    return [propose(schemas, topic, wanted) for topic in _declared(open_node(common), topics)]


def _declared(node: Node, names: tuple[str, ...]) -> list[Topic]:
    declared = node.app.declarations
    found = [declared.topic(name) for name in names] or [t for t in declared.topics.values() if t.format == "avro"]
    for topic in found:
        if topic.format != "avro":
            raise RequestError(f"topic {topic.name}", expected="a topic in Avro", got=f"format {topic.format}")
    return found


def _tell(each: Proposal) -> None:
    subject = each.subject
    for text in each.complaints:
        say(f"{subject}: level {each.level} forbids it: {text}", style="red")
    for text in each.unreadable:
        say(f"{subject}: records of {text} would be dead", style="yellow")
    if not each.complaints:
        say(f"{subject}: " + ("can be registered" if each.id is None else f"registered, id {each.id}"))


def _facts(each: Proposal) -> dict[str, object]:
    return {
        "topic": each.topic,
        "subject": each.subject,
        "level": each.level,
        "id": each.id,
        "complaints": each.complaints,
        "unreadable": each.unreadable,
        "schema": each.schema,
    }
