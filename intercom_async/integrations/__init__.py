"""Optional extras, each in a module of its own with a library of its own; nothing is imported here.

- `opentelemetry`: traces and metrics (`pip install 'intercom_async[otel]'`).
- `redis`: one quota shared by many processes (`pip install 'intercom_async[redis]'`).
"""
