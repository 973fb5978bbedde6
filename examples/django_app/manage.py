"""A Django project: one Pod cleans up, and the web workers of one say that they lead.

On a laptop, with Leases in memory, until Ctrl-C:

    python ../laptop.py 'python manage.py clean_up' 'python manage.py clean_up' \\
        'env PORT=8001 gunicorn mysite.wsgi' 'env PORT=8002 gunicorn mysite.wsgi'
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
