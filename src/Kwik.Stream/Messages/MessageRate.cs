namespace Kwik.Streams;

/// <summary>How fast messages may be sent. Who sends more waits.</summary>
public sealed record MessageRate
{
    /// <summary>Messages that may begin each second, a second's worth at once: 1 to 1,000,000, default null: no limit.</summary>
    public int? MessagesPerSecond { get; init; }

    /// <summary>
    /// Bytes of messages, compressed where they are, each second; a second's worth at once, or one chunk of 64 KiB where that
    /// is more: 1,024 to 2^31-1, default null: no limit.
    /// </summary>
    public int? BytesPerSecond { get; init; }

    /// <summary>Checks the ranges above.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range; the message names it.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(MessagesPerSecond ?? 1, 1, nameof(MessagesPerSecond));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MessagesPerSecond ?? 1, 1_000_000, nameof(MessagesPerSecond));
        ArgumentOutOfRangeException.ThrowIfLessThan(BytesPerSecond ?? 1024, 1024, nameof(BytesPerSecond));
    }
}
