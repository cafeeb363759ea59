namespace Kwik.Streams;

/// <summary>
/// Who goes first among the messages that wait to be sent on one stream. Nothing of it crosses the wire; the order in which
/// chunks are sent is all that the peer sees.
/// </summary>
public enum MessagePriority
{
    /// <summary>Before all others: overtakes them between two chunks.</summary>
    High,

    /// <summary>The default.</summary>
    Normal,

    /// <summary>
    /// When nothing else waits. Never starved: as with Normal, after 16 chunks of more urgent messages one of its own is due.
    /// </summary>
    Bulk,
}
