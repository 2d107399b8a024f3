"""Make the user as whom searches write, unless there is one: the administrator's password stays with the server.

Wants ``MLFLOW_TRACKING_URI``, and reads both passwords from the folder ``$SECRETS``. Called again it sets the password
anew.
"""

import os
import sys
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.server import get_app_client

USER = "search"


def main() -> int:
    """The exit code."""
    secrets = Path(os.environ.get("SECRETS", "/run/secrets"))
    os.environ["MLFLOW_TRACKING_USERNAME"] = "admin"
    os.environ["MLFLOW_TRACKING_PASSWORD"] = (secrets / "mlflow_admin_password").read_text()
    password = (secrets / "mlflow_password").read_text()
    client = get_app_client("basic-auth", tracking_uri=os.environ["MLFLOW_TRACKING_URI"])
    try:
        try:
            client.get_user(USER)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            client.create_user(USER, password)
        else:
            client.update_user_password(USER, password)
    except MlflowException as error:
        print(f"error: the tracking server does not let its administrator make user {USER!r}: {error}", file=sys.stderr)
        return 1
    print(f"user {USER!r} is there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
