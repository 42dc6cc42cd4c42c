# Read by the flask command, and by every other process of task_app.
FLASK_APP=task_app
FLASK_RUN_HOST=${HOST:-127.0.0.1}
FLASK_RUN_PORT=${PORT:-5000}
