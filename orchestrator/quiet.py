"""Silence the libraries below a search, unless someone asked to hear them."""

from __future__ import annotations

import logging
import os
import warnings

ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune's own tables
    "RAY_DEDUP_LOGS": "1",
    # Pages on a host that is gone, stack traces included: the pool of engines says it in one line.
    "RAY_DEDUP_LOGS_SKIP_REGEX": r"^(The node with node id|Raylet is terminated|WARNING: \d+ PYTHON worker)",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard copies of what MLflow holds
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",  # of a trial whose answer nobody waits for any more: a stack trace at the end
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # a search tells nobody of itself
    "GIT_PYTHON_REFRESH": "quiet",
}
"""Set where the user has not set them; Ray hands them on to its workers."""


def silence_libraries() -> None:
    """Take effect before ray, transformers and mlflow are imported."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    # Failed trials are named by the display and the summary, one line each; Tune would print whole tracebacks.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    for name in ("ray", "ray.train", "mlflow", "alembic", "datasets", "transformers", "filelock"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
