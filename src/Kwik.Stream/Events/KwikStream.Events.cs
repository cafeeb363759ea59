using System.Threading.Channels;
using Kwik.Data;

namespace Kwik.Streams;

/// <content>What this side found out, for an application that wants to know.</content>
public sealed partial class KwikStream
{
    /// <summary>Events kept for an application that does not read them; beyond that the oldest go. About 100 bytes each.</summary>
    internal const int MaxEvents = 256;

    // Both made when they are needed: most streams never have an event, and there may be many streams.
    private Channel<StreamEvent>? _events;
    private HashSet<int>? _lostPaths;
    private bool _eventsEnded;

    /// <summary>
    /// What this side found out about the stream and those who fill it, whoever opened it. Informs, and holds up nothing: 256
    /// events are kept, then the oldest go. Ends when the stream has been closed here, or its session has ended.
    /// </summary>
    public ChannelReader<StreamEvent> Events => GetEvents().Reader;

    internal void Raise(StreamEvent happened) => GetEvents().Writer.TryWrite(happened);

    /// <summary>A path that fills this stream is gone.</summary>
    internal void OnPathLost(int pathId, KwikError error)
    {
        bool isNews;
        lock (_gate)
        {
            isNews = (_lostPaths ??= []).Add(pathId);
        }

        if (isNews)
        {
            Raise(new PathLost(pathId, error));
        }
    }

    /// <summary>A path is there; that is news where it was lost.</summary>
    internal void OnPathBack(int pathId)
    {
        bool isNews;
        lock (_gate)
        {
            isNews = _lostPaths?.Remove(pathId) == true;
        }

        if (isNews)
        {
            Raise(new PathBack(pathId));
        }
    }

    private void EndEvents()
    {
        Channel<StreamEvent>? events;
        lock (_gate)
        {
            _eventsEnded = true;
            events = _events;
        }

        events?.Writer.TryComplete();
    }

    private Channel<StreamEvent> GetEvents()
    {
        lock (_gate)
        {
            if (_events is null)
            {
                _events = Channel.CreateBounded<StreamEvent>(
                    new BoundedChannelOptions(MaxEvents) { FullMode = BoundedChannelFullMode.DropOldest });
                if (_eventsEnded)
                {
                    _events.Writer.TryComplete();
                }
            }

            return _events;
        }
    }
}
