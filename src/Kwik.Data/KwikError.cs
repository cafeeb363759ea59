namespace Kwik.Data;

/// <summary>
/// Every error that Kwik knows, once: the QUIC application error code on the wire, the code in exceptions and in frames.
/// </summary>
/// <remarks>
/// Codes below 0x100 are Kwik's; a peer's code that is not in this table reads as <see cref="Internal"/>.
/// </remarks>
public enum KwikError : long
{
    /// <summary>A clean end.</summary>
    None = 0x00,

    /// <summary>A fault of the peer's own making, or a code that this version does not know.</summary>
    Internal = 0x01,

    /// <summary>Certificate, pin, token or grant were not accepted. One code for every cause, on purpose.</summary>
    AuthenticationFailed = 0x02,

    /// <summary>A documented limit was reached; the message names the option.</summary>
    LimitExceeded = 0x03,

    /// <summary>Something did not happen in the time that an option allows.</summary>
    Timeout = 0x04,

    /// <summary>The application no longer wants the stream or the range.</summary>
    Cancelled = 0x05,

    /// <summary>The path to a secondary server is gone.</summary>
    PathLost = 0x06,

    /// <summary>The connection to the primary server is gone, and the session with it.</summary>
    PrimaryLost = 0x07,

    /// <summary>Two different final sizes for one stream, or bytes beyond the final size.</summary>
    FinalSize = 0x08,

    /// <summary>A payload does not have the CRC-32C that its frame announced.</summary>
    Checksum = 0x09,

    /// <summary>The bytes are not the content that the primary vouched for.</summary>
    ContentMismatch = 0x0a,

    /// <summary>The server has no such content.</summary>
    NotFound = 0x0b,

    /// <summary>The peer's application ended the stream with an error of its own.</summary>
    StreamFault = 0x0c,

    /// <summary>The server is about to stop: what runs may end in time, nothing new is begun. Another server, or a later time, may do.</summary>
    ServerClosing = 0x0d,

    /// <summary>KWIK_SECONDARY_STREAM_ISOLATION: a secondary server tried to reach the application directly.</summary>
    SecondaryStreamIsolation = 0x10,

    /// <summary>KWIK_STREAM_MAPPING_CONFLICT: bytes for a stream or range that their sender was not asked for or granted.</summary>
    StreamMappingConflict = 0x11,

    /// <summary>KWIK_OFFSET_SYNC_FAILURE: two sides disagree about how far a stream has come.</summary>
    OffsetSyncFailure = 0x12,

    /// <summary>KWIK_METADATA_PROTOCOL_VIOLATION: bytes that no correct peer sends.</summary>
    MetadataProtocolViolation = 0x13,

    /// <summary>KWIK_AGGREGATION_TIMEOUT: a hole in a stream that nobody filled in time.</summary>
    AggregationTimeout = 0x14,

    /// <summary>KWIK_SECONDARY_STREAM_OVERFLOW: more streams or bytes than a path may have pending.</summary>
    SecondaryStreamOverflow = 0x15,

    /// <summary>KWIK_INVALID_STREAM_ROLE: a stream of a type that its opener may not open.</summary>
    InvalidStreamRole = 0x16,
}
