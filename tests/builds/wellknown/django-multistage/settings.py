from pathlib import Path

SECRET_KEY = "for the build only"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.admin", "django.contrib.staticfiles"]
STATIC_ROOT = Path(__file__).parent / "static"
STATIC_URL = "/static/"
ROOT_URLCONF = "urls"
