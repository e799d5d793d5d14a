"""How the API's description presents events and integrations."""

from api import schema
from api.answers import Data, PageOf
from api.errors import Invalid, NotSupported
from api.fields import AMOUNT_MAX
from api.filtering import FilterValueWrong
from api.pagination import LIMIT_MAX, PositionRefused
from api.schema import TEXT, WHOLE_LIST_REFUSALS, Operation
from events import answers, errors, serializers, views
from events.filters import IntegrationFilters, JobFilters, LogFilters

_NEWEST_FIRST = "Newest first. Of so many none counts further than 10,000: `links.next` goes on."

schema.describe(
    "Events",
    views.EventsView,
    get=Operation(
        "List events",
        "The feed: every change, once, in its order. Whoever keeps the last event's `position` "
        "goes on after it, as long as that is kept. Where payloads are large, fewer come than "
        "`page[limit]`; `links.next` tells whether any follow.",
        answers={200: answers.Feed},
        refuses=[
            *WHOLE_LIST_REFUSALS,
            FilterValueWrong,
            PositionRefused,
            errors.EventsForgotten,
            errors.FeedSetBack,
        ],
        query=[
            (
                "page[after]",
                "The position after which to begin; unsaid, with the oldest event that is kept.",
                {"type": "integer", "minimum": 0, "maximum": AMOUNT_MAX},
            ),
            (
                "page[after_id]",
                "The id of the event at that position: then it is noticed if the shop's database "
                "was set back, and another event has the position by now.",
                TEXT,
            ),
            (
                "page[limit]",
                f"How many; 0 stands for the store's page length, and at most {LIMIT_MAX}.",
                {"type": "integer", "minimum": 0, "maximum": LIMIT_MAX},
            ),
            (
                "filter",
                "Which types: `eq(type,order.paid)` or `in(type,stock.low,stock.out)`; "
                "`triggered_by` is the same.",
                TEXT,
            ),
        ],
    ),
)
schema.give_type("IntegrationBodyRequest", "integration", required=False)
schema.give_type("IntegrationChangesRequest", "integration", required=False)
_REFUSED = (Invalid, NotSupported)
schema.describe(
    "Integrations",
    views.IntegrationsView,
    get=Operation(
        "List integrations",
        answers={200: PageOf[answers.Integration]},
        lists=True,
        filters=IntegrationFilters,
    ),
    post=Operation(
        "Create an integration",
        "It is told of what happens from now on. `meta.signing_secret` is told in this answer and "
        "in no other.",
        takes=serializers.IntegrationBody,
        example={
            "data": {
                "type": "integration",
                "name": "Shipping",
                "enabled": True,
                "integration_type": "webhook",
                "observes": ["order.paid", "order.cancelled"],
                "configuration": {"url": "https://shipping.example.com/holdfast"},
            }
        },
        answers={200: Data[answers.Integration]},
        refuses=[errors.TooManyIntegrations, *_REFUSED],
    ),
)
schema.describe(
    "Integrations",
    views.IntegrationView,
    get=Operation(
        "Get an integration",
        answers={200: Data[answers.Integration]},
        refuses=[errors.IntegrationNotFound],
    ),
    put=Operation(
        "Change an integration",
        "What is left out stays as it is. Enabled, it is told of what happens from then on; if it "
        "was disabled by itself, it goes on from where it was.",
        takes=serializers.IntegrationChanges,
        answers={200: Data[answers.Integration]},
        refuses=[errors.IntegrationNotFound, *_REFUSED],
    ),
    delete=Operation(
        "Delete an integration", answers={204: None}, refuses=[errors.IntegrationNotFound]
    ),
)
schema.describe(
    "Integrations",
    views.SecretView,
    post=Operation(
        "Renew the signing secret of an integration",
        "The new one is `meta.signing_secret` of this answer, and of no other. The one before "
        "signs beside it for 24 hours.",
        answers={200: Data[answers.Integration]},
        refuses=[errors.IntegrationNotFound],
    ),
)
schema.describe(
    "Integrations",
    views.StoreLogsView,
    get=Operation(
        "List the logs of all integrations",
        _NEWEST_FIRST,
        answers={200: PageOf[answers.IntegrationLog]},
        lists=True,
        filters=LogFilters,
    ),
)
schema.describe(
    "Integrations",
    views.IntegrationLogsView,
    get=Operation(
        "List the logs of an integration",
        _NEWEST_FIRST,
        answers={200: PageOf[answers.IntegrationLog]},
        refuses=[errors.IntegrationNotFound],
        lists=True,
        filters=LogFilters,
    ),
)
schema.describe(
    "Integrations",
    views.JobsView,
    get=Operation(
        "List the jobs of an integration",
        f"A job is one event on its way. {_NEWEST_FIRST}",
        answers={200: PageOf[answers.IntegrationJob]},
        refuses=[errors.IntegrationNotFound],
        lists=True,
        filters=JobFilters,
    ),
)
schema.describe(
    "Integrations",
    views.JobLogsView,
    get=Operation(
        "List the logs of an integration job",
        answers={200: PageOf[answers.IntegrationLog]},
        refuses=[errors.IntegrationNotFound, errors.JobNotFound],
        lists=True,
        filters=LogFilters,
    ),
)
