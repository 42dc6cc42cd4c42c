"""procrastinate on PostgreSQL: the peer that is durable in SQL too. The schema is made when jobs are submitted."""

import os
import sys

import procrastinate
import ticks

CONNINFO = os.environ["BENCH_SQL"].replace("postgresql+psycopg://", "postgresql://")
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=CONNINFO))
tasks = {name: app.task(name=name, pass_context=False)(getattr(ticks, name)) for name in ticks.WORKLOADS}

if __name__ == "__main__":
    with app.replace_connector(procrastinate.SyncPsycopgConnector(conninfo=CONNINFO)) as here, here.open():
        if not here.check_connection():
            here.schema_manager.apply_schema()
        task = here.tasks[sys.argv[1]]
        for _ in range(int(sys.argv[2])):
            task.defer(text=ticks.argument(sys.argv[1]))
