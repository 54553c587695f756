"""Real servers for tests and demonstrations, as processes of this machine on loopback: no container, nothing installed.

Each module starts one server from an ordinary package of its maker, downloaded once into the user's cache folder:

    from watersmeet.testing.services.kafka import kafka

    with kafka(folder) as server:      # starts it, waits until it answers, stops it at the end
        server.url                     # "kafka://127.0.0.1:49152"
        server.kill()                  # SIGKILL
        server.start()                 # again, on the same port, over the same data

In pytest, ``pytest_plugins = ["watersmeet.testing.services.plugin"]`` gives session-wide fixtures of the same names.
They take an address from the environment instead where there is one (``WATERSMEET_TEST_KAFKA=kafka://host:9092``).
"""
