"""Every error class of the installed client: the fault behind it, in the server's words, or that it is a bug."""

import asyncio
import socket
import ssl
from typing import Any

import asyncpg
import asyncpg.exceptions
import pytest

from outboxrelay.adapters.postgres_errors import CLIENT_ERRORS, translate
from outboxrelay.api.names import Reason

ANSWERS = {
    Reason.CONNECT_FAILED: """
        PostgresConnectionError ClientCannotConnectError ConnectionDoesNotExistError ConnectionFailureError
        ConnectionRejectionError ProtocolViolationError TransactionResolutionUnknownError InvalidCatalogNameError
        AdminShutdownError CrashShutdownError CannotConnectNowError DatabaseDroppedError IdleSessionTimeoutError
    """,
    Reason.AUTHENTICATION_FAILED: "InvalidAuthorizationSpecificationError InvalidPasswordError",
    Reason.TOO_MANY_CONNECTIONS: "TooManyConnectionsError",
    Reason.READ_ONLY: "ReadOnlySQLTransactionError",
    Reason.PERMISSION_DENIED: "InsufficientPrivilegeError",
    Reason.TABLE_NOT_FOUND: "UndefinedTableError InvalidSchemaNameError",
    Reason.SCHEMA_MISMATCH: """
        UndefinedColumnError UndefinedObjectError UndefinedFunctionError AmbiguousFunctionError DatatypeMismatchError
        CannotCoerceError WrongObjectTypeError GeneratedAlwaysError InvalidColumnReferenceError CollationMismatchError
        IndeterminateCollationError SyntaxOrAccessError
    """,
    Reason.TIMEOUT: """
        QueryCanceledError LockNotAvailableError IdleInTransactionSessionTimeoutError TransactionTimeoutError
    """,
    # Prepared statements that vanish are a pooler's doing; what is not supported is the server's nature.
    Reason.UNSUPPORTED_SERVER: "InvalidSQLStatementNameError DuplicatePreparedStatementError FeatureNotSupportedError",
    # Resources, limits, conflicts between transactions, the server's own trouble.
    Reason.DATABASE_ERROR: """
        InsufficientResourcesError DiskFullError OutOfMemoryError ConfigurationLimitExceededError
        ProgramLimitExceededError StatementTooComplexError TooManyColumnsError TooManyArgumentsError
        TransactionRollbackError SerializationError DeadlockDetectedError StatementCompletionUnknownError
        TransactionIntegrityConstraintViolationError SnapshotTooOldError
        ObjectNotInPrerequisiteStateError ObjectInUseError CantChangeRuntimeParamError UnsafeNewEnumValueUsageError
        OperatorInterventionError PostgresSystemError PostgresIOError UndefinedFileError DuplicateFileError
        FileNameTooLongError ConfigFileError LockFileExistsError InternalServerError DataCorruptedError
        IndexCorruptedError InvalidCachedStatementError PostgresError FatalPostgresError UnknownPostgresError
        InvalidTransactionStateError ActiveSQLTransactionError NoActiveSQLTransactionError InFailedSQLTransactionError
        BranchTransactionAlreadyActiveError InappropriateAccessModeForBranchTransactionError
        InappropriateIsolationLevelForBranchTransactionError NoActiveSQLTransactionForBranchTransactionError
        HeldCursorRequiresSameIsolationLevelError SchemaAndDataStatementMixingNotSupportedError
        InvalidTransactionInitiationError InvalidTransactionTerminationError SavepointError
        InvalidSavepointSpecificationError InvalidCursorStateError InvalidCursorNameError
    """,
}
"""Server errors by what the relay may meet."""

INSIDE = """
    IntegrityConstraintViolationError RestrictViolationError NotNullViolationError ForeignKeyViolationError
    UniqueViolationError CheckViolationError ExclusionViolationError WithCheckOptionViolationError
    CardinalityViolationError CaseNotFoundError TriggeredActionError TriggeredDataChangeViolationError
    DependentPrivilegeDescriptorsStillExistError DependentObjectsStillExistError
    PLPGSQLError RaiseError NoDataFoundError TooManyRowsError AssertError
    SQLRoutineError ModifyingSQLDataNotPermittedError ProhibitedSQLStatementAttemptedError
    ReadingSQLDataNotPermittedError FunctionExecutedNoReturnStatementError
    ExternalRoutineError ContainingSQLNotPermittedError ModifyingExternalRoutineSQLDataNotPermittedError
    ProhibitedExternalRoutineSQLStatementAttemptedError ReadingExternalRoutineSQLDataNotPermittedError
    ExternalRoutineInvocationError InvalidSqlstateReturnedError NullValueInExternalRoutineNotAllowedError
    TriggerProtocolViolatedError SrfProtocolViolatedError EventTriggerProtocolViolatedError
    DiagnosticsError StackedDiagnosticsAccessedWithoutActiveHandlerError
    LocatorError InvalidLocatorSpecificationError InvalidGrantorError InvalidGrantOperationError
    InvalidRoleSpecificationError SQLStatementNotYetCompleteError InvalidArgumentForXqueryError
    DuplicateColumnError DuplicateCursorError DuplicateDatabaseError DuplicateFunctionError DuplicateObjectError
    DuplicateSchemaError DuplicateTableError InvalidColumnDefinitionError InvalidCursorDefinitionError
    InvalidDatabaseDefinitionError InvalidForeignKeyError InvalidFunctionDefinitionError InvalidNameError
    InvalidObjectDefinitionError InvalidPreparedStatementDefinitionError InvalidSchemaDefinitionError
    InvalidTableDefinitionError NameTooLongError ReservedNameError
    DataError ArraySubscriptError BadCopyFileFormatError CharacterNotInRepertoireError DatetimeFieldOverflowError
    DivisionByZeroError DuplicateJsonObjectKeyValueError ErrorInAssignmentError EscapeCharacterConflictError
    IndicatorOverflowError IntervalFieldOverflowError InvalidArgumentForLogarithmError
    InvalidArgumentForNthValueFunctionError InvalidArgumentForNtileFunctionError
    InvalidArgumentForPowerFunctionError InvalidArgumentForSQLJsonDatetimeFunctionError
    InvalidArgumentForWidthBucketFunctionError InvalidBinaryRepresentationError InvalidCharacterValueForCastError
    InvalidDatetimeFormatError InvalidEscapeCharacterError InvalidEscapeOctetError InvalidEscapeSequenceError
    InvalidIndicatorParameterValueError InvalidJsonTextError InvalidParameterValueError
    InvalidPrecedingOrFollowingSizeError InvalidRegularExpressionError InvalidRowCountInLimitClauseError
    InvalidRowCountInResultOffsetClauseError InvalidSQLJsonSubscriptError InvalidTablesampleArgumentError
    InvalidTablesampleRepeatError InvalidTextRepresentationError InvalidTimeZoneDisplacementValueError
    InvalidUseOfEscapeCharacterError InvalidXmlCommentError InvalidXmlContentError InvalidXmlDocumentError
    InvalidXmlProcessingInstructionError MoreThanOneSQLJsonItemError MostSpecificTypeMismatchError
    NoSQLJsonItemError NonNumericSQLJsonItemError NonUniqueKeysInAJsonObjectError
    NonstandardUseOfEscapeCharacterError NotAnXmlDocumentError NullValueNoIndicatorParameterError
    NullValueNotAllowedError NumericValueOutOfRangeError PostgresFloatingPointError SQLJsonArrayNotFoundError
    SQLJsonItemCannotBeCastToTargetTypeError SQLJsonMemberNotFoundError SQLJsonNumberNotFoundError
    SQLJsonObjectNotFoundError SQLJsonScalarRequiredError SequenceGeneratorLimitExceededError
    SingletonSQLJsonItemRequiredError StringDataLengthMismatchError StringDataRightTruncationError SubstringError
    TooManyJsonArrayElementsError TooManyJsonObjectMembersError TrimError UnterminatedCStringError
    UntranslatableCharacterError ZeroLengthCharacterStringError
    FDWColumnNameNotFoundError FDWDynamicParameterValueNeededError FDWError FDWFunctionSequenceError
    FDWInconsistentDescriptorInformationError FDWInvalidAttributeValueError FDWInvalidColumnNameError
    FDWInvalidColumnNumberError FDWInvalidDataTypeDescriptorsError FDWInvalidDataTypeError
    FDWInvalidDescriptorFieldIdentifierError FDWInvalidHandleError FDWInvalidOptionIndexError
    FDWInvalidOptionNameError FDWInvalidStringFormatError FDWInvalidStringLengthOrBufferLengthError
    FDWInvalidUseOfNullPointerError FDWNoSchemasError FDWOptionNameNotFoundError FDWOutOfMemoryError
    FDWReplyHandleError FDWSchemaNotFoundError FDWTableNotFoundError FDWTooManyHandlesError
    FDWUnableToCreateExecutionError FDWUnableToCreateReplyError FDWUnableToEstablishConnectionError
"""
"""Server errors of constraints, triggers, functions, values and foreign tables: DatabaseError."""

BUGS = """
    PostgresSyntaxError UndefinedParameterError IndeterminateDatatypeError AmbiguousParameterError AmbiguousColumnError
    AmbiguousAliasError DuplicateAliasError GroupingError WindowingError InvalidRecursionError
"""
"""Server errors that only a statement of ours that is wrong can bring about."""

NOT_ANSWERS = """
    InterfaceError ClientConfigurationError UnsupportedClientFeatureError UnsupportedServerFeatureError
    InternalClientError ProtocolError OutdatedSchemaCacheError TargetServerAttributeNotMatched
"""
"""Raised by the client itself; below."""

CASES = [(name, reason) for reason, names in ANSWERS.items() for name in names.split()]
CASES += [(name, Reason.DATABASE_ERROR) for name in INSIDE.split()]


def installed() -> set[str]:
    """Exceptions that asyncpg raises; warnings are none."""
    found = vars(asyncpg.exceptions).items()
    return {
        name
        for name, value in found
        if isinstance(value, type) and issubclass(value, Exception) and not issubclass(value, Warning)
    }


def answer(name: str, **fields: str) -> Any:
    """As the server sends it."""
    error = getattr(asyncpg.exceptions, name)("the server's words")
    for field, value in {"severity": "ERROR", **fields}.items():
        setattr(error, field, value)
    return error


def test_somebody_decided_on_every_exception_of_the_installed_client() -> None:
    named = [name for name, _ in CASES] + BUGS.split() + NOT_ANSWERS.split()
    assert len(named) == len(set(named))
    assert set(named) == installed()


@pytest.mark.parametrize(("name", "reason"), CASES, ids=[name for name, _ in CASES])
def test_an_answer_of_the_server_has_its_reason_and_keeps_its_words(name: str, reason: Reason) -> None:
    fault = translate(answer(name))
    assert fault is not None
    assert fault.reason is reason
    assert "the server's words" in fault.message
    assert fault.message.startswith("PostgreSQL: ") or "connection" in fault.message


@pytest.mark.parametrize("name", BUGS.split())
def test_a_statement_of_ours_that_is_wrong_is_a_bug_and_one_of_a_trigger_is_not(name: str) -> None:
    assert translate(answer(name)) is None
    fault = translate(answer(name, context="PL/pgSQL function audit() line 3 at EXECUTE"))
    assert fault is not None
    assert fault.reason is Reason.DATABASE_ERROR


@pytest.mark.parametrize("name", ["UndefinedTableError", "UndefinedColumnError", "FeatureNotSupportedError"])
def test_what_a_trigger_misses_is_not_said_of_the_outbox_table(name: str) -> None:
    fault = translate(answer(name, context="PL/pgSQL function audit() line 3 at SQL statement"))
    assert fault is not None
    assert (fault.reason, fault.message) == (Reason.DATABASE_ERROR, "PostgreSQL: the server's words")


def test_a_value_that_does_not_fit_its_parameter_is_a_bug() -> None:
    assert translate(asyncpg.DataError("invalid input for query argument $1: 'x'")) is None


@pytest.mark.parametrize("name", ["InvalidSQLStatementNameError", "DuplicatePreparedStatementError"])
def test_a_pooler_that_takes_the_session_away_is_named(name: str) -> None:
    fault = translate(answer(name))
    assert fault is not None
    assert "pooler" in fault.message


@pytest.mark.parametrize(
    ("sqlstate", "reason"),
    [
        ("57P06", Reason.CONNECT_FAILED),
        ("08999", Reason.CONNECT_FAILED),
        ("28999", Reason.AUTHENTICATION_FAILED),
        ("53999", Reason.DATABASE_ERROR),
        ("42999", Reason.DATABASE_ERROR),
        ("ZZ999", Reason.DATABASE_ERROR),
    ],
)
def test_a_state_that_only_newer_servers_know_goes_by_its_class(sqlstate: str, reason: Reason) -> None:
    fault = translate(answer("UnknownPostgresError", sqlstate=sqlstate))
    assert fault is not None
    assert fault.reason is reason


LOST = "the connection to the database was lost"
WAY = [
    (asyncpg.InterfaceError("cannot perform operation: connection is closed"), Reason.CONNECT_FAILED, LOST),
    (asyncpg.InterfaceError("the underlying connection has been released"), Reason.CONNECT_FAILED, LOST),
    (asyncpg.InternalClientError("got result for unknown protocol state 3"), Reason.CONNECT_FAILED, LOST),
    (asyncpg.exceptions.ProtocolError("unexpected message"), Reason.CONNECT_FAILED, LOST),
    (asyncpg.exceptions.OutdatedSchemaCacheError("unexpected number of attributes"), Reason.CONNECT_FAILED, LOST),
    (asyncpg.TargetServerAttributeNotMatched("none"), Reason.READ_ONLY, "none of the hosts accepts writes"),
    (
        asyncpg.InterfaceError("unsupported authentication method requested by the server: 'kerberosv5'"),
        Reason.AUTHENTICATION_FAILED,
        "unsupported authentication method requested by the server: 'kerberosv5'",
    ),
    (
        asyncpg.InterfaceError("unsupported SASL Authentication methods requested by the server: 'X'"),
        Reason.AUTHENTICATION_FAILED,
        "unsupported SASL Authentication methods requested by the server: 'X'",
    ),
    (
        asyncpg.UnsupportedServerFeatureError("no notifications"),
        Reason.UNSUPPORTED_SERVER,
        "the server is no PostgreSQL that the relay knows: no notifications",
    ),
    (socket.gaierror(-2, "Name or service not known"), Reason.CONNECT_FAILED,
     "the database's host name does not resolve: Name or service not known"),
    (ConnectionRefusedError(111, "refused"), Reason.CONNECT_FAILED, "cannot reach the database: [Errno 111] refused"),
    (ConnectionResetError(104, "reset"), Reason.CONNECT_FAILED, "cannot reach the database: [Errno 104] reset"),
    (ConnectionResetError(), Reason.CONNECT_FAILED, "cannot reach the database: ConnectionResetError"),
    (OSError(24, "Too many files"), Reason.CONNECT_FAILED, "cannot reach the database: [Errno 24] Too many files"),
    (ConnectionError("PostgreSQL server at \"db:5432\" rejected SSL upgrade"), Reason.TLS_FAILED,
     "the server does not speak TLS (sslmode asks for it)"),
    (TimeoutError(), Reason.TIMEOUT, "the database did not answer in time"),

    (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), Reason.CONNECT_FAILED, LOST),
    (ssl.SSLZeroReturnError(6, "TLS/SSL connection has been closed"), Reason.CONNECT_FAILED, LOST),
]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    WAY,
    ids=[f"{type(error).__name__}-{place}" for place, (error, *_) in enumerate(WAY)],
)
def test_what_happens_on_the_way_has_its_reason(error: Exception, reason: Reason, message: str) -> None:
    fault = translate(error)
    assert fault is not None
    assert (fault.reason, fault.message) == (reason, message)
    assert isinstance(error, CLIENT_ERRORS)


def test_a_certificate_that_is_not_trusted_says_what_is_wrong_with_it() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    fault = translate(error)
    assert fault is not None
    assert (fault.reason, fault.message) == (Reason.TLS_FAILED, "TLS with the database failed: self-signed certificate")


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        asyncpg.ClientConfigurationError("invalid DSN"),
        asyncpg.UnsupportedClientFeatureError("text encoding of range types is not supported"),
        ValueError("whatever"),
        MemoryError(),
        asyncio.CancelledError(),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_misuse_and_what_ends_the_process_are_no_fault_of_a_database(error: BaseException) -> None:
    assert translate(error) is None
