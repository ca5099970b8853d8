"""API deployments as workflows: listed by the platform, or known by name only."""

from collections.abc import Mapping

from sources.json_text import encode
from sources.observations import Winner
from sources.records import Record, Response, Workflow
from sources.values import text_or_none
from sources.watched import Watched

__all__ = ["definition", "deployment_rows", "scope_rows"]


def definition(known: Watched) -> dict[str, object]:
    """Return what is known of a deployment that no platform key lists."""
    organization, _, name = known.scope.partition("/")
    return {
        "organization_id": known.context.get("organization_id", organization),
        "api_name": known.context.get("api_name", name),
    }


def scope_rows(response: Response, winner: Winner, known: Watched) -> list[Record]:
    """Return the row of the deployment that ran an execution."""
    said = definition(known)
    return [_workflow(response, winner, said, text_or_none(said["api_name"]), None)]


def deployment_rows(
    response: Response, winner: Winner, deployment: Mapping[str, object]
) -> list[Record]:
    """Return the row of one listed deployment."""
    name = text_or_none(deployment.get("display_name"))
    name = name or text_or_none(deployment.get("api_name"))
    is_active = deployment.get("is_active")
    state = "active" if is_active is True else None
    state = "inactive" if is_active is False else state
    return [_workflow(response, winner, deployment, name, state)]


def _workflow(
    response: Response,
    winner: Winner,
    said: Mapping[str, object],
    name: str | None,
    state: str | None,
) -> Workflow:
    return Workflow(
        provider=response.provider,
        connection=response.connection,
        response_id=response.response_id,
        workflow_key=winner.observation.key,
        workflow_id=winner.observation.name,
        kind="api_deployment",
        name=name,
        state=state,
        definition=encode(said),
        first_seen_at=winner.first_seen_at,
        observed_at=response.received_at,
    )
