using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// What a primary has offered to one client, until the client has closed the stream, and when the grant of each is to be made
/// anew. Safe for concurrent use.
/// </summary>
internal sealed class OpenOffers(TimeProvider time)
{
    /// <summary>
    /// Offers that may be open at once: as many as both sides together may have streams. More are those of a client that closes
    /// streams and does not say so. Some 200 bytes each, 4 MiB; grants that wait to be sent count with what waits on the control
    /// stream.
    /// </summary>
    public const int MaxOpen = 20_000;

    /// <summary>Grants that are renewed at once; then there is a pause.</summary>
    public const int BatchSize = 10;

    /// <summary>
    /// Between two batches: a hundred grants a second are a tenth of the control frames that a client takes, and renew
    /// <see cref="MaxOpen"/> in the time that is left of a grant.
    /// </summary>
    public static readonly TimeSpan BatchPause = TimeSpan.FromMilliseconds(100);

    private readonly Lock _gate = new();
    private readonly Dictionary<long, LinkedListNode<OpenOffer>> _byStream = [];

    // The oldest grant first. Nothing has no bytes to show a grant for, and is not in it.
    private readonly LinkedList<OpenOffer> _byAge = new();
    private readonly AsyncSignal _added = new();

    private sealed record OpenOffer(long StreamId, ContentOffer Offer)
    {
        public long GrantedAt { get; set; }
    }

    /// <summary>A stream is offered, and its first grant made.</summary>
    /// <exception cref="ArgumentException">It was offered before.</exception>
    /// <exception cref="KwikException"><see cref="KwikError.LimitExceeded"/>: <see cref="MaxOpen"/> are open.</exception>
    public void Add(long streamId, ContentOffer offer)
    {
        lock (_gate)
        {
            if (_byStream.Count == MaxOpen)
            {
                throw new KwikException(
                    KwikError.LimitExceeded,
                    KwikErrorSide.Remote,
                    $"Stream {streamId} cannot be offered: there are {MaxOpen} offers already that the client is not done with.",
                    streamId: streamId);
            }

            var node = new LinkedListNode<OpenOffer>(new OpenOffer(streamId, offer) { GrantedAt = time.GetTimestamp() });
            _byStream.Add(streamId, node);
            if (offer.Length > 0)
            {
                _byAge.AddLast(node);
            }
        }

        _added.Set();
    }

    /// <summary>Null when the stream was not offered, or is closed.</summary>
    public ContentOffer? Find(long streamId)
    {
        lock (_gate)
        {
            return _byStream.GetValueOrDefault(streamId)?.Value.Offer;
        }
    }

    /// <summary>The client has closed the stream.</summary>
    public void Remove(long streamId)
    {
        lock (_gate)
        {
            if (_byStream.Remove(streamId, out LinkedListNode<OpenOffer>? node) && node.List is not null)
            {
                _byAge.Remove(node);
            }
        }
    }

    /// <summary>Has each grant renewed when half of its life is over, until the token is cancelled.</summary>
    public async Task RenewAsync(Action<long, ContentOffer> renew, CancellationToken cancellationToken)
    {
        while (true)
        {
            TimeSpan? wait = TimeToNext();
            if (wait is null)
            {
                await _added.WaitAsync(cancellationToken);
                continue;
            }

            if (wait <= TimeSpan.Zero)
            {
                for (int i = 0; i < BatchSize && TakeDue() is { } due; i++)
                {
                    renew(due.StreamId, due.Offer);
                }

                wait = BatchPause;
            }

            await Task.Delay(wait.Value, time, cancellationToken);
        }
    }

    /// <summary>Null when there is no grant to renew, ever.</summary>
    private TimeSpan? TimeToNext()
    {
        lock (_gate)
        {
            // In whole milliseconds, rounded up: a timer that fires early would be set again and again.
            return _byAge.First is { } first
                ? TimeSpan.FromMilliseconds(Math.Ceiling((StatementVerifier.RenewAfter - AgeOf(first.Value)).TotalMilliseconds))
                : null;
        }
    }

    private OpenOffer? TakeDue()
    {
        lock (_gate)
        {
            if (_byAge.First is not { } first || AgeOf(first.Value) < StatementVerifier.RenewAfter)
            {
                return null;
            }

            _byAge.RemoveFirst();
            first.Value.GrantedAt = time.GetTimestamp();
            _byAge.AddLast(first);
            return first.Value;
        }
    }

    private TimeSpan AgeOf(OpenOffer offer) => time.GetElapsedTime(offer.GrantedAt);
}
