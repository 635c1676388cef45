"""What a caller did wrong. What the database refuses comes as the driver's own exception."""


class UnknownConnection(TypeError):
    """The object is no session of a driver that is known here."""


class NotInTransaction(RuntimeError):
    """The session has no transaction open: the event would be committed alone, whatever becomes of the change."""
