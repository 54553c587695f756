"""Structured Streaming on the same records, run by a Python that has pyspark: ``python spark_stream.py <job as JSON>``.

As it is usually written: a typed schema, one file or so many records of a topic a trigger, windowed aggregation in
update mode, a checkpoint on disk, and the ``noop`` sink, which takes every row and keeps none. Spark is lenient where
watersmeet is strict; malformed lines come as nulls and are filtered.

Records come in one of three forms:

    files   JSON files
    usual   payloads of a topic on Kafka, as everybody writes it: ``from_json``, then ``select e.*``
    best    the same, in the best form that was found: ``inline(array(from_json(…)))`` of the needed columns alone, so
            that the payload is parsed once and not once a column

Prints one JSON object: records and seconds of each micro-batch, then what the state store holds at the end, so that the
sums can be laid beside the others'. Spark refuses ``count(distinct …)`` on streams, so exact distinct is written as the
de-duplication of (window, film, user) and a count.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession  # type: ignore[import-not-found]  # not a dependency
from pyspark.sql import functions as f

SCHEMA = (
    "event_id string, film_id int, device string, user_id int, score decimal(4,2), watched int, session string, at long"
)

NEEDED = {
    "counts": {"film_id", "device", "score", "at"},
    "hopping": {"film_id", "device", "score", "at"},
    "copies": {"event_id", "film_id", "device", "score", "at"},
    "distinct": {"film_id", "user_id", "at"},
}


def main() -> None:
    """Run the job that the first argument describes."""
    began, job = time.time(), json.loads(sys.argv[1])
    spark = session(job["folder"], job.get("jars", ""))
    spark.sparkContext.setLogLevel("ERROR")
    checkpoint = str(Path(job["folder"]) / "checkpoint")
    rows = timed(payloads(spark.readStream, job) if job.get("topic") else files(spark.readStream, job))
    writer = aggregate(rows, job["figure"]).writeStream.outputMode("update").format("noop")
    query = writer.option("checkpointLocation", checkpoint).trigger(availableNow=True).start()
    query.awaitTermination()
    batches = [
        {"records": step.numInputRows, "seconds": step.durationMs["triggerExecution"] / 1000}
        for step in query.recentProgress
        if step.numInputRows
    ]
    told = {"version": spark.version, "batches": batches, "first": first(query.recentProgress) - began}
    told |= totals(spark, checkpoint)
    if job.get("archive"):
        told["batch"] = [whole(spark, job) for _ in range(2)][-1]
    print(json.dumps(told))
    spark.stop()


def files(read: Any, job: dict[str, str]) -> DataFrame:
    """Typed rows of JSON files."""
    return read.schema(SCHEMA).option("maxFilesPerTrigger", 1).json(job["files"])


def payloads(read: Any, job: dict[str, str]) -> DataFrame:
    """Typed rows of a topic's payloads."""
    settings = {
        "kafka.bootstrap.servers": job["kafka"],
        "subscribe": job["topic"],
        "startingOffsets": "earliest",
        "maxOffsetsPerTrigger": job["slice_records"],
    }
    return parsed(read.format("kafka").options(**settings).load(), job)


def parsed(rows: DataFrame, job: dict[str, str]) -> DataFrame:
    """Payloads as typed rows, in the job's form."""
    text = rows.select(f.col("value").cast("string").alias("text"))
    if job["form"] == "usual":
        return text.select(f.from_json("text", SCHEMA).alias("e")).select("e.*")
    needed = NEEDED[job["figure"]]
    schema = ", ".join(column for column in SCHEMA.split(", ") if column.split()[0] in needed)
    return text.select(f.inline(f.array(f.from_json("text", schema))))


def timed(rows: DataFrame) -> DataFrame:
    """What is well-formed, with its event time."""
    return rows.where("film_id is not null").withColumn("time", f.timestamp_millis("at"))


def first(progress: Any) -> float:
    """When the first micro-batch with records was done."""
    step = next(step for step in progress if step.numInputRows)
    return datetime.fromisoformat(step.timestamp).timestamp() + step.durationMs["triggerExecution"] / 1000


def whole(spark: SparkSession, job: dict[str, str]) -> float:
    """Seconds in which a batch job does the same over archived records."""
    began = time.perf_counter()
    rows = timed(parsed(spark.read.parquet(job["archive"]), job))
    aggregate(rows, job["figure"]).write.format("noop").mode("overwrite").save()
    return time.perf_counter() - began


def session(folder: str, jars: str = "") -> SparkSession:
    """Two local cores, everything in memory, nothing on the network but loopback."""
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.streaming.numRecentProgressUpdates": "1000",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "4g",
        "spark.local.dir": folder,
        "spark.sql.warehouse.dir": f"{folder}/warehouse",
        "spark.jars": jars,
    }
    builder = SparkSession.builder.master("local[2]").appName("benchmark")
    for name, value in settings.items():
        if value:
            builder = builder.config(name, value)
    return builder.getOrCreate()


def aggregate(rows: DataFrame, figure: str) -> DataFrame:
    """The figure, as a streaming aggregation."""
    measures = [f.count("*").alias("n"), f.sum("score").alias("total")]
    match figure:
        case "counts":
            return rows.groupBy(f.window("time", "1 minute"), "film_id", "device").agg(*measures)
        case "hopping":
            return rows.groupBy(f.window("time", "5 minutes", "1 minute"), "film_id", "device").agg(*measures)
        case "copies":
            once = rows.dropDuplicates(["event_id"])
            return once.groupBy(f.window("time", "1 minute"), "film_id", "device").agg(*measures)
        case "distinct":
            viewer = rows.select(f.window("time", "5 minutes"), "film_id", "user_id")
            return viewer.dropDuplicates().groupBy("window", "film_id").agg(f.count("*").alias("viewers"))
    raise ValueError(figure)


def totals(spark: SparkSession, checkpoint: str) -> dict[str, int]:
    """Groups, and the sum of the first measure over them, from the state that the last micro-batch left."""
    found = spark.read.format("statestore").load(checkpoint).select("value.*")
    [row] = found.agg(f.count("*").alias("groups"), f.sum(found.columns[0]).alias("sum")).collect()
    return {"groups": int(row["groups"]), "sum": int(row["sum"])}


if __name__ == "__main__":
    main()
