"""Archives and tables as files of an object store or a distributed file system: S3 and HDFS; tables as Delta too."""
