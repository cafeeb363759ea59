namespace Kwik.Data;

/// <summary>Which side caused an error.</summary>
public enum KwikErrorSide
{
    /// <summary>This process: an option, a call, or its own machine.</summary>
    Local,

    /// <summary>The peer said so, or broke a rule.</summary>
    Remote,

    /// <summary>Nobody said anything: the network, or silence.</summary>
    Network,
}

/// <summary>
/// The one exception type for everything that a session, path or stream can run into. Nothing needs to be decided by
/// its message; <see cref="Code"/> and <see cref="Side"/> say what happened, <see cref="PathId"/> and
/// <see cref="StreamId"/> where.
/// </summary>
public class KwikException : IOException
{
    /// <summary>Makes an exception; the message says what happened and what to change.</summary>
    public KwikException(
        KwikError code,
        KwikErrorSide side,
        string message,
        Exception? innerException = null,
        int? pathId = null,
        long? streamId = null)
        : base(message, innerException)
    {
        Code = code;
        Side = side;
        PathId = pathId;
        StreamId = streamId;
    }

    /// <summary>What happened.</summary>
    public KwikError Code { get; }

    /// <summary>Who caused it.</summary>
    public KwikErrorSide Side { get; }

    /// <summary>The path that it happened on; 0 is the primary, null where no path is concerned.</summary>
    public int? PathId { get; }

    /// <summary>The public stream that it happened on, null where no stream is concerned.</summary>
    public long? StreamId { get; }

    /// <summary>True when a transport says it of the whole connection, and not of one stream or call.</summary>
    internal bool EndsConnection { get; init; }
}
