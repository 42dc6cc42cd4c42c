"""What a WSGI server loads: `gunicorn task_app.wsgi:app`."""

from . import create_app, startup

# 4 is gunicorn's "the app can't be loaded": it stops instead of trying again for ever.
with startup.one_line_errors(status=4):
    app = create_app()
    startup.start_web(app)
