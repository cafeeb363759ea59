namespace Kwik.Streams;

/// <summary>What a client does about a fault of one of its servers. Nothing is ever skipped, filled with zeros or delivered out of order.</summary>
public enum RecoveryAction
{
    /// <summary>
    /// Ends the Internal stream. What it owes of offered content is asked of another server, of the same one only when
    /// there is no other; pushed bytes are named to the primary as lost.
    /// </summary>
    RequestRetransmission,

    /// <summary>
    /// Also takes the server's path out of the session, for good. The primary cannot be taken out: its stream is closed
    /// instead.
    /// </summary>
    IsolateSource,

    /// <summary>Drops the bad piece, goes on with the Internal stream, and waits for a good piece. For <see cref="Data.KwikError.Checksum"/> only.</summary>
    IgnoreCorrupted,

    /// <summary>The public stream fails with the fault.</summary>
    CloseStream,

    /// <summary>Ends the Internal stream; what it owes is asked of the server that is free first, the same one included. For metadata only.</summary>
    RequestResend,

    /// <summary>
    /// Takes an end without a close frame for a clean one. Other faults of metadata have no default: they are treated as
    /// <see cref="RequestResend"/> says. For metadata only.
    /// </summary>
    UseDefaults,

    /// <summary>Ends the Internal stream and waits; what is missing is asked for when the reader has waited for it too long. For metadata only.</summary>
    IgnoreStream,
}
