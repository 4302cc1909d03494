"""An Airflow DAG: put it into the folder dags. Each task is one command, whose exit code says what to do."""

from __future__ import annotations

import datetime

from airflow.models.dag import DAG
from airflow.operators.bash import BashOperator

FOLDER = "/srv/tabsynth"
TABSYNTH = f"{FOLDER}/.venv/bin/tabsynth"

with DAG(
    "nightly_synthetic_release",
    schedule="30 2 * * *",
    start_date=datetime.datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": datetime.timedelta(minutes=10)},
) as dag:
    # A missed gate (3) ends the run as skipped: the earlier release stays. Other codes are tried again, and finished
    # steps are skipped then.
    run = BashOperator(
        task_id="run",
        cwd=FOLDER,
        bash_command=f"{TABSYNTH} run nightly.yaml --log-format json",
        skip_on_exit_code=3,
        append_env=True,  # TABSYNTH_KEY_PASSWORD and PGPASSWORD come from the worker's environment
    )
    verify = BashOperator(
        task_id="verify",
        cwd=FOLDER,
        bash_command=f"{TABSYNTH} verify output/tumours.zip --key release.pub",
    )
    run >> verify
