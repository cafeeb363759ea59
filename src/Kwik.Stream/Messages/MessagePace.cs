using Kwik.Data;

namespace Kwik.Streams;

/// <summary>Keeps a <see cref="MessageRate"/>, of one channel or of all channels of a session. Safe for concurrent use.</summary>
internal sealed class MessagePace(TimeProvider time, MessageRate rate)
{
    private readonly Lock _gate = new();
    private readonly TokenBucket? _messages =
        rate.MessagesPerSecond is { } messages ? new(time, messages, burst: messages) : null;
    private readonly TokenBucket? _bytes =
        rate.BytesPerSecond is { } bytes ? new(time, bytes, burst: Math.Max(bytes, MessageFrame.ChunkSize)) : null;

    /// <summary>
    /// Takes what a chunk costs, the first of its message or a later one: all or nothing. Zero when it was taken; else the
    /// time after which to ask again.
    /// </summary>
    public TimeSpan Take(bool isFirst, int bytes)
    {
        lock (_gate)
        {
            TimeSpan forMessage = isFirst ? _messages?.TimeUntil(1) ?? TimeSpan.Zero : TimeSpan.Zero;
            TimeSpan forBytes = _bytes?.TimeUntil(bytes) ?? TimeSpan.Zero;
            TimeSpan wait = forMessage > forBytes ? forMessage : forBytes;
            if (wait == TimeSpan.Zero)
            {
                _ = isFirst && _messages?.TryTake() == true;
                _bytes?.TryTake(bytes);
            }

            return wait;
        }
    }

    /// <summary>What was taken was not used.</summary>
    public void GiveBack(bool isFirst, int bytes)
    {
        if (isFirst)
        {
            _messages?.GiveBack();
        }

        _bytes?.GiveBack(bytes);
    }
}
