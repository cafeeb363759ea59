using System.Diagnostics.CodeAnalysis;

namespace Kwik.Relay;

/// <summary>
/// Holds what a <see cref="LinkShaper"/> let pass until it is due at the other end: no I/O, no clock.
/// </summary>
/// <remarks>
/// Datagrams stay in order of arrival, so that only the first needs to be looked at and jitter cannot reorder. Those with
/// a <see cref="LinkVerdict.HoldBack"/> leave that order when their turn comes, and wait aside. Not thread-safe; <c>now</c>
/// never decreases.
/// </remarks>
/// <typeparam name="T">The datagram, its owner's way.</typeparam>
public sealed class DelayLine<T>
{
    private readonly record struct Entry(T Datagram, TimeSpan Departure, TimeSpan Propagation, TimeSpan? HoldBack)
    {
        public TimeSpan Due => Departure + Propagation;
    }

    private readonly Queue<Entry> _inOrder = new();
    private readonly PriorityQueue<T, TimeSpan> _heldBack = new();

    /// <summary>Datagrams inside.</summary>
    public int Count => _inOrder.Count + _heldBack.Count;

    /// <summary>When to call <see cref="TryTake"/> next; null while empty.</summary>
    public TimeSpan? NextDue
    {
        get
        {
            TimeSpan? inOrder = _inOrder.TryPeek(out Entry first) ? first.Due : null;
            TimeSpan? heldBack = _heldBack.TryPeek(out _, out TimeSpan due) ? due : null;
            return inOrder < heldBack ? inOrder : heldBack ?? inOrder;
        }
    }

    /// <summary>Takes a datagram that was not dropped; twice in a row for one that is duplicated.</summary>
    public void Add(T datagram, in LinkVerdict verdict) =>
        _inOrder.Enqueue(new(datagram, verdict.Departure, verdict.Propagation, verdict.HoldBack));

    /// <summary>Gives the next datagram that is due.</summary>
    public bool TryTake(TimeSpan now, [MaybeNullWhen(false)] out T datagram)
    {
        while (true)
        {
            bool isDue = _inOrder.TryPeek(out Entry first) && first.Due <= now;
            if (_heldBack.TryPeek(out _, out TimeSpan due) && due <= now && !(isDue && first.Due < due))
            {
                datagram = _heldBack.Dequeue();
                return true;
            }

            if (!isDue)
            {
                datagram = default;
                return false;
            }

            _inOrder.Dequeue();
            if (first.HoldBack is not { } holdBack)
            {
                datagram = first.Datagram;
                return true;
            }

            _heldBack.Enqueue(first.Datagram, first.Due + holdBack);
        }
    }

    /// <summary>Follows <see cref="LinkShaper.Change"/>: departures after <paramref name="now"/> move with the rate.</summary>
    public void Stretch(TimeSpan now, double stretch)
    {
        for (int left = _inOrder.Count; left > 0; left--)
        {
            Entry entry = _inOrder.Dequeue();
            TimeSpan departure = entry.Departure > now ? now + ((entry.Departure - now) * stretch) : entry.Departure;
            _inOrder.Enqueue(entry with { Departure = departure });
        }
    }
}
