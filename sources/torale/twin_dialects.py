"""How Torale shows what is stored: the documented way and the live one."""

from sources.torale.twin_world import Columns, Task

__all__ = ["DOCUMENTED_KEYS", "LIVE_KEYS", "Item", "shown", "task_shown"]

Item = dict[str, object]

CREATED_AT = "2025-11-04T12:00:00Z"
USER_ID = "0ed2dcad-912c-5b20-9c6d-b68b5f0d1ace"
DOCUMENTED_KEYS = (
    "id",
    "task_id",
    "status",
    "started_at",
    "completed_at",
    "condition_met",
    "result",
    "change_summary",
    "grounding_sources",
    "error_message",
    "created_at",
)
LIVE_KEYS = (
    "task_id",
    "status",
    "result",
    "error_message",
    "notification",
    "grounding_sources",
    "id",
    "started_at",
    "completed_at",
    "created_at",
)
ONLY_IN_DETAILS = {"result": "sources_count", "grounding_sources": "snippet"}


def shown(row: Columns, *, is_paged: bool, is_whole: bool) -> Item:
    """Return an execution with the keys of its dialect, and any that are of neither.

    A list of the paged dialect leaves out what only single executions have.
    """
    keys = DOCUMENTED_KEYS if is_paged else LIVE_KEYS
    own = [name for name in row if name not in DOCUMENTED_KEYS + LIVE_KEYS]
    item = {name: row[name] for name in (*keys, *own)}
    if is_paged and not is_whole:
        for name, left_out in ONLY_IN_DETAILS.items():
            item[name] = _without(item[name], left_out)
    return item


def _without(value: object, name: str) -> object:
    """Return a value without that key, in an object or in each object of a list."""
    if isinstance(value, list):
        return [_without(one, name) for one in value]
    if isinstance(value, dict):
        return {key: one for key, one in value.items() if key != name}
    return value


def task_shown(task: Task, last: Item | None) -> Item:
    """Return a task as the list of tasks has it, with its newest success."""
    last = last or {}
    changed_at = last.get("completed_at") or CREATED_AT
    return {
        "name": task.name,
        "state": task.state,
        "search_query": task.query,
        "condition_description": task.condition,
        "notifications": [],
        "attached_connector_slugs": [],
        "id": task.task_id,
        "user_id": USER_ID,
        "created_at": CREATED_AT,
        "updated_at": changed_at,
        "state_changed_at": changed_at,
        "last_known_state": None,
        "last_execution_id": last.get("id"),
        "last_execution": last or None,
        "next_run": None if task.state == "completed" else "2030-01-01T00:00:00Z",
        "immediate_execution_error": None,
        "context": None,
        "is_public": task.is_public,
        "view_count": 0,
        "subscriber_count": 0,
        "forked_from_task_id": None,
    }
