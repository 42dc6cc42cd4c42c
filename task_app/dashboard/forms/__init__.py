"""Forms of jobs, made from the schemas of their arguments.

| file | holds |
|---|---|
| `controls` | the ways to type a value, and to read it again |
| `fitting` | which control fits a field of a schema |
| `words` | what a schema asks for, in words |
| `field` | one field: its control, what is typed, what is wrong with it |
| `arguments` | the fields of a task's arguments, and the call they make |
| `job` | those and the options of a job: the body of `POST /tasks` |
"""
