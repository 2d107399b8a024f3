"""All that a store holds of a kind, however many pages it answers with: the one place that turns them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.store.entities import PagedList

T = TypeVar("T")

_PAGE = 500


def find_runs(
    client: MlflowClient, experiments: Sequence[str], condition: str, *, deleted: bool = False
) -> Iterator[Run]:
    """The runs that fulfil a condition in MLflow's filter syntax, the newest first.

    Args:
        experiments: ids. deleted: those that were deleted, instead of those that are there.
    """
    from mlflow.entities import ViewType

    return _pages(
        client.search_runs,
        experiment_ids=list(experiments),
        filter_string=condition,
        run_view_type=ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY,
        order_by=["attributes.start_time DESC"],
    )


def find_experiments(client: MlflowClient) -> Iterator[Experiment]:
    """All experiments that are not deleted."""
    return _pages(client.search_experiments)


def find_models(client: MlflowClient, condition: str) -> Iterator[RegisteredModel]:
    """The registered models that fulfil a condition."""
    return _pages(client.search_registered_models, filter_string=condition)


def find_versions(client: MlflowClient, model: str) -> Iterator[ModelVersion]:
    """The versions of a registered model."""
    return _pages(client.search_model_versions, filter_string=f"name = {quoted(model)}")


def quoted(text: str) -> str:
    """A value of a condition."""
    quote = '"' if "'" in text else "'"
    return f"{quote}{text.replace(quote, '')}{quote}"


def _pages(search: Callable[..., PagedList[T]], **asked: Any) -> Iterator[T]:
    token = None
    while True:
        page = search(**asked, max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
