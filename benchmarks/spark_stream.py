"""Structured Streaming on the same files, run by a Python that has pyspark: ``python spark_stream.py <job as JSON>``.

As it is usually written: JSON files with a typed schema, one file a trigger, windowed aggregation in update mode, a
checkpoint on disk, and the ``noop`` sink, which takes every row and keeps none. Spark is lenient where watersmeet is
strict; malformed lines come as nulls and are filtered.

Prints one JSON object: records and seconds of each micro-batch, then what the state store holds at the end, so that the
sums can be laid beside the others'. Spark refuses ``count(distinct …)`` on streams, so exact distinct is written as the
de-duplication of (window, film, user) and a count.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession  # type: ignore[import-not-found]  # not a dependency
from pyspark.sql import functions as f

SCHEMA = (
    "event_id string, film_id int, device string, user_id int, score decimal(4,2), watched int, session string, at long"
)


def main() -> None:
    """Run the job that the first argument describes."""
    job = json.loads(sys.argv[1])
    spark = session(job["folder"])
    spark.sparkContext.setLogLevel("ERROR")
    checkpoint = str(Path(job["folder"]) / "checkpoint")
    read = spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).json(job["files"])
    rows = read.where("film_id is not null").withColumn("time", f.timestamp_millis("at"))
    writer = aggregate(rows, job["figure"]).writeStream.outputMode("update").format("noop")
    query = writer.option("checkpointLocation", checkpoint).trigger(availableNow=True).start()
    query.awaitTermination()
    batches = [
        {"records": step.numInputRows, "seconds": step.durationMs["triggerExecution"] / 1000}
        for step in query.recentProgress
        if step.numInputRows
    ]
    print(json.dumps({"version": spark.version, "batches": batches, **totals(spark, checkpoint)}))
    spark.stop()


def session(folder: str) -> SparkSession:
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
    }
    builder = SparkSession.builder.master("local[2]").appName("benchmark")
    for name, value in settings.items():
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
