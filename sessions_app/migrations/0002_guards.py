from django.db import migrations

from rako.core.append_only import guard


class Migration(migrations.Migration):
    dependencies = [("sessions_app", "0001_initial"), ("merchants", "0002_guards")]

    operations = [guard("sessions_app_recommendation"), guard("sessions_app_click")]
