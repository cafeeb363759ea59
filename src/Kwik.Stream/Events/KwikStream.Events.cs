using System.Threading.Channels;
using Kwik.Data;

namespace Kwik.Streams;

/// <content>What this side found out, for an application that wants to know.</content>
public sealed partial class KwikStream
{
    /// <summary>Events kept for an application that does not read them; beyond that the oldest go. About 100 bytes each.</summary>
    internal const int MaxEvents = 256;

    /// <summary>Decisions kept for an application that does not read them; beyond that the oldest go. About 150 bytes each.</summary>
    internal const int MaxDeliveryEvents = 4096;

    // Made when somebody asks for it.
    private volatile Channel<DeliveryEvent>? _delivery;

    // Both made when they are needed: most streams never have an event, and there may be many streams.
    private Channel<StreamEvent>? _events;
    private HashSet<int>? _lostPaths;
    private bool _eventsEnded;

    /// <summary>
    /// What this side found out about the stream and those who fill it, whoever opened it. Informs, and holds up nothing: 256
    /// events are kept, then the oldest go. Ends when the stream has been closed here, or its session has ended.
    /// </summary>
    public ChannelReader<StreamEvent> Events => GetEvents().Reader;

    /// <summary>
    /// On a client: who was asked for which part of the offered content, when and why, and who was given up, so that a run can be
    /// explained. From the moment on at which this is read for the first time, which is best before the offer; 4,096 decisions
    /// are kept, then the oldest go. Ends with <see cref="Events"/>.
    /// </summary>
    public ChannelReader<DeliveryEvent> Delivery
    {
        get
        {
            lock (_gate)
            {
                if (_delivery is null)
                {
                    _delivery = Channel.CreateBounded<DeliveryEvent>(
                        new BoundedChannelOptions(MaxDeliveryEvents) { FullMode = BoundedChannelFullMode.DropOldest });
                    if (_eventsEnded)
                    {
                        _delivery.Writer.TryComplete();
                    }
                }

                return _delivery.Reader;
            }
        }
    }

    internal void Trace(TimeSpan at, DeliveryStep step) => _delivery?.Writer.TryWrite(new DeliveryEvent(at, step));

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
        _delivery?.Writer.TryComplete();
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
