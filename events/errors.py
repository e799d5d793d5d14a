from api.errors import WRONG_STATE, Kind, NotFound, Refusal

GONE = Kind(410, "Gone")


class EventsForgotten(Refusal):
    """What a reader would have to hear next is older than events are kept."""

    kind = GONE
    code = "events_forgotten"
    detail = "Events after this position are no longer kept."


class FeedSetBack(Refusal):
    """The feed is not, or no longer, the one that its reader knows."""

    kind = GONE
    code = "feed_set_back"
    detail = (
        "The feed does not reach this position, or has another event there: the shop's database "
        "was set back to an earlier moment."
    )


class IntegrationNotFound(NotFound):
    code = "integration_not_found"
    thing = "Integration"
    detail = "The requested integration could not be found"


class JobNotFound(NotFound):
    code = "integration_job_not_found"
    thing = "Integration job"
    detail = "The requested integration job could not be found"


class EventNotKept(Refusal):
    """What would be sent again is older than events are kept."""

    kind = WRONG_STATE
    code = "event_not_kept"
    detail = "This event is no longer kept, so it cannot be sent again."


class MailNotSendable(Refusal):
    kind = WRONG_STATE
    code = "mail_not_sendable"
    detail = "This mail cannot be sent now."


class TooManyIntegrations(Refusal):
    kind = WRONG_STATE
    code = "too_many_integrations"
    detail = "A store has at most 100 integrations."
