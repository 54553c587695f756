"""The Spark session: made when first needed, shared by every topic of the process, made again after a failure.

    spark:///?master=local[2]                            threads of this machine: development, tests, one large node
    spark://host:7077                                    a standalone master
    spark:///?master=yarn   spark:///?master=k8s://…     YARN, Kubernetes

**What executors need.** They run this package: the same version of Python, pyarrow, DuckDB, numpy, msgspec and sqlglot
as the driver. Either their image has it (``python=`` names the interpreter there), or it is sent:

    python -m venv env && env/bin/pip install watersmeet[spark] venv-pack && venv-pack -p env -o env.tar.gz
    spark://host:7077?archives=env.tar.gz%23env&python=./env/bin/python&py_files=my_app.zip

``archives`` carries the environment, ``py_files`` the app's own modules (row functions are sent by value, what they
import is not). ``jars`` or ``packages`` bring Spark's Kafka connector, which is not part of pyspark:
``packages=org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0``. Anything else Spark knows is set by ``properties``, a
file of ``name value`` lines such as ``spark-defaults.conf``.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watersmeet.core.address import Address
from watersmeet.core.errors import SettingsError, UnavailableError

from .failure import spark_errors

ARROW_RECORDS, ARROW_BYTES = 65_536, 64 << 20
_STOP_SECONDS = 20.0
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SparkOptions:
    """What stands behind the question mark of ``spark://…?``.

    Args:
        master: as Spark writes it; default ``spark://<hosts>`` of the address, ``local[*]`` without hosts.
        jars, packages: comma-separated files, Maven coordinates: the Kafka connector.
        py_files, archives: comma-separated files that are sent to the executors.
        python: the interpreter in executors; default this one with a local master, else ``python3``.
        properties: a file of further Spark settings; they win over what is said here.
        scratch: folder for what Spark spills; default Spark's own.
        driver_memory, executor_memory: of the JVMs, as Spark writes them. Python and DuckDB need as much beside it.
        cores: of one executor; 0 leaves it to Spark.
        least_executors, most_executors: bounds within which the runner asks for executors; equal: it does not.
        buckets: into how many parts cells are shuffled by their dimensions; 0: one a core.
        every_seconds: the shortest time from slice to slice while there is no more than one slice unread.
        ui: whether Spark's web pages are served.
    """

    master: str = ""
    jars: str = ""
    packages: str = ""
    py_files: str = ""
    archives: str = ""
    python: str = ""
    properties: str = ""
    scratch: str = ""
    driver_memory: str = "1g"
    executor_memory: str = "1g"
    cores: int = 0
    least_executors: int = 1
    most_executors: int = 1
    buckets: int = 0
    every_seconds: float = 1.0
    ui: bool = False


class Sessions:
    """Gives the one session of a process. Safe to share between threads.

    Args:
        address: for messages, and for the hosts of a standalone master.
        options: of the address.
    """

    def __init__(self, address: Address, options: SparkOptions) -> None:
        self._address, self._options = address, options
        self._lock = threading.Lock()
        self._session: Any = None  # a pyspark session; the driver has no types
        self.master = options.master or (f"spark://{address.servers(7077)}" if address.hosts else "local[*]")

    def get(self) -> Any:
        """The session, made if there is none that works.

        Raises:
            UnavailableError: there is no Java, no pyspark, or the master does not answer.
        """
        with self._lock:
            if self._session is not None and not _works(self._session):
                _forget(self._session)
                self._session = None
            if self._session is None:
                self._session = self._make()
            return self._session

    def close(self) -> None:
        """Stop the session."""
        with self._lock:
            if self._session is not None:
                _forget(self._session)
                self._session = None

    def _make(self) -> Any:
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise UnavailableError("Spark", got=str(error), remedy="install watersmeet[spark]") from error
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas", category=FutureWarning)
        settings = session_settings(self._options, self.master)
        # pyspark reads this and not the setting; without it executors run whatever is called python3.
        if self._options.python or "PYSPARK_PYTHON" not in os.environ:
            os.environ["PYSPARK_PYTHON"] = settings["spark.pyspark.python"]
        if self.master.startswith("local"):
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        # What a JVM is started with cannot be set once it runs.
        at_start = [f"--conf {shlex.quote(f'{name}={value}')}" for name, value in settings.items()]
        os.environ["PYSPARK_SUBMIT_ARGS"] = " ".join([*at_start, "pyspark-shell"])
        try:
            session = SparkSession.builder.master(self.master).appName("watersmeet").getOrCreate()
            session.sparkContext.setLogLevel("ERROR")
        except spark_errors() as error:
            raise UnavailableError(
                f"Spark at {self.master}",
                expected="a session",
                got=str(error)[:500],
                remedy="look whether Java 17 is installed and the master answers",
            ) from error
        return session


def session_settings(options: SparkOptions, master: str) -> Mapping[str, str]:
    """Spark's settings for the options; what ``properties`` says wins."""
    local = master.startswith("local")
    settings = {
        "spark.ui.enabled": str(options.ui).lower(),
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(ARROW_RECORDS),
        "spark.sql.execution.arrow.maxBytesPerBatch": str(ARROW_BYTES),
        # The ids of an interval come to the driver, whatever their number.
        "spark.driver.maxResultSize": "0",
        # The number of buckets is chosen here; planning anew between stages only costs time.
        "spark.sql.adaptive.enabled": "false",
        # A long recomputation must not hold up the slices of the same process.
        "spark.scheduler.mode": "FAIR",
        "spark.driver.memory": options.driver_memory,
        "spark.executor.memory": options.executor_memory,
        "spark.executor.cores": str(options.cores) if options.cores else "",
        "spark.executor.instances": "" if local else str(options.least_executors),
        "spark.pyspark.python": options.python or (sys.executable if local else "python3"),
        "spark.jars": options.jars,
        "spark.jars.packages": options.packages,
        "spark.submit.pyFiles": options.py_files,
        "spark.archives": options.archives,
        "spark.local.dir": options.scratch,
        "spark.sql.warehouse.dir": f"{options.scratch}/warehouse" if options.scratch else "",
    }
    if local:
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return {name: value for name, value in {**settings, **_properties(options.properties)}.items() if value}


def _properties(path: str) -> dict[str, str]:
    if not path:
        return {}
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise SettingsError(f"properties {path}", expected="a file of Spark settings", got=str(error)) from error
    pairs = (re.split(r"\s*[\s=]\s*", line, maxsplit=1) for line in lines if line and not line.startswith("#"))
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _works(session: Any) -> bool:
    """False if the session was stopped or its JVM is gone."""
    try:
        return not session.sparkContext._jsc.sc().isStopped()
    except _gone():
        return False


def _forget(session: Any) -> None:
    """Stop a session and let go of its JVM, so that the next one gets a JVM of its own."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    if session._jvm is not SparkContext._jvm:
        return  # somebody else in this process has been here before
    gateway: Any = SparkContext._gateway
    try:
        session.stop()
        gateway.shutdown()
    except _gone():
        _logger.info("the JVM of a Spark session is gone")
    # What pyspark remembers would be handed out again.
    SparkContext._active_spark_context = SparkContext._gateway = SparkContext._jvm = None
    SparkSession._instantiatedSession = SparkSession._activeSession = None
    process = getattr(gateway, "proc", None)
    if process is not None:
        process.stdin.close()  # the JVM ends when its standard input does
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _gone() -> tuple[type[Exception], ...]:
    """What a session raises whose JVM is gone, or that was stopped."""
    return AttributeError, *spark_errors()
