using System.Threading.Channels;

namespace Kwik.Sessions;

/// <summary>The events of one session on their way to its application. Raising never waits. Safe for concurrent use.</summary>
internal sealed class SessionEventQueue
{
    /// <summary>Events kept for an application that does not read them; beyond that the oldest go. About 100 bytes each.</summary>
    public const int Capacity = 1024;

    private readonly Channel<SessionEvent> _events =
        Channel.CreateBounded<SessionEvent>(new BoundedChannelOptions(Capacity) { FullMode = BoundedChannelFullMode.DropOldest });

    /// <summary>Ends when the session has.</summary>
    public ChannelReader<SessionEvent> Reader => _events.Reader;

    /// <summary>Is told of each event; maybe under locks of the session.</summary>
    public Action<SessionEvent>? Observed { get; set; }

    public void Raise(SessionEvent happened)
    {
        _events.Writer.TryWrite(happened);
        Observed?.Invoke(happened);
    }

    /// <summary>The session has ended; what is queued can still be read.</summary>
    public void Complete() => _events.Writer.TryComplete();
}
