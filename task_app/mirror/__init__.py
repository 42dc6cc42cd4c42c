"""The mirror: what Celery does, written into the job table; what the job table wants, said to Celery.

| file | concern |
|---|---|
| `send` | every send becomes a row first |
| `publisher` | a row becomes a message |
| `strategy` | a message from a foreign producer becomes a row |
| `task` | the Task base class: claim before start, app context, retry limits |
| `backend` | Celery's result backend is the job table |
| `progress` | `report_progress`, coalesced |
| `identity` | which life of which worker this process belongs to |
| `fork` | connections and forks kept apart |
| `patience` | writes that must not be lost wait for the database |
"""
