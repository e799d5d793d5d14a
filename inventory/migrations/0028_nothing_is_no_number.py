from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0027_moved_by_hand_last"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="stocktakeline",
            name="stocktake_line_counted_at_a_moment",
        ),
        migrations.AddConstraint(
            model_name="stocktakeline",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("counted_at", None), ("first_at", None), ("units", None)),
                    models.Q(
                        models.Q(
                            ("counted_at__isnull", False),
                            ("first_at__isnull", False),
                            ("units__isnull", False),
                        ),
                        models.Q(("first_at__lte", models.F("counted_at")), ("units__gte", 0)),
                    ),
                    _connector="OR",
                ),
                name="stocktake_line_counted_at_a_moment",
            ),
        ),
    ]
