using Kwik.Data;
using Microsoft.Win32.SafeHandles;

namespace Kwik.Streams;

public sealed partial class KwikStream
{
    // What the peer says it sends; null once it is known to send bytes of its own.
    private readonly TaskCompletionSource<ContentOffer?> _offer = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // What this side, a primary, said that it sends. Apart from the above: a request came in before it.
    private ContentOffer? _offered;

    // What the application has of a content that it expects.
    private (ContentOffer Offer, IReadOnlyList<(long Offset, long Length)> Held)? _resumed;

    /// <summary>What the primary said this stream contains; null before it said so, and for streams that it writes itself.</summary>
    public ContentOffer? Offer => _offered ?? (_offer.Task.IsCompletedSuccessfully ? _offer.Task.Result : null);

    /// <summary>
    /// On a client: waits until it is known what the stream contains. Null when the primary writes bytes itself.
    /// </summary>
    /// <exception cref="KwikException">The stream failed; <see cref="KwikError.NotFound"/> when there is no such content.</exception>
    public Task<ContentOffer?> GetOfferAsync(CancellationToken cancellationToken = default) =>
        AwaitOfferAsync().WaitAsync(cancellationToken);

    /// <summary>
    /// On a primary: says that the whole stream is this content. The client fetches it from the servers that have it,
    /// this one included. Excludes writing; completes the writes.
    /// </summary>
    /// <exception cref="InvalidOperationException">Something was written or offered, or this side is not a primary.</exception>
    /// <exception cref="KwikException">
    /// The session has ended; or <see cref="KwikError.LimitExceeded"/>: the client has left 20,000 offers open, also of streams
    /// that are closed.
    /// </exception>
    public async ValueTask OfferContentAsync(ContentOffer offer, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(offer);
        offer.Validate();
        EnterWrite();
        try
        {
            if (WrittenEnd > 0)
            {
                throw new InvalidOperationException($"Stream {Id} has been written to already.");
            }

            await _owner.OfferAsync(this, offer, cancellationToken);
            _offered = offer;
            FinishWrites(offer.Length);
        }
        finally
        {
            Volatile.Write(ref _writing, 0);
        }
    }

    /// <summary>
    /// On a client, before the offer can be here: what this side has already of a content that it expects. If the primary
    /// offers that very content, these bytes are not fetched; the stream can then only be copied to where its bytes belong,
    /// with <see cref="CopyToAsync(SafeFileHandle, CancellationToken)"/> or its kin, which delivers all the others. Of any
    /// other content everything is fetched. Compare <see cref="Offer"/> to know.
    /// </summary>
    /// <param name="expected">What was offered when the bytes came.</param>
    /// <param name="held">Ranges in whole leaves, in order, without overlaps; 40 bytes of memory each.</param>
    /// <exception cref="ArgumentException">They are not.</exception>
    /// <exception cref="InvalidOperationException">The offer is here, or bytes of another kind.</exception>
    public void Resume(ContentOffer expected, IReadOnlyList<(long Offset, long Length)> held)
    {
        ArgumentNullException.ThrowIfNull(expected);
        ArgumentNullException.ThrowIfNull(held);
        expected.Validate();
        long end = 0;
        foreach ((long offset, long length) in held)
        {
            bool fits = offset >= end && offset % expected.LeafSize == 0 && length > 0 && length <= expected.Length - offset
                && ((offset + length) % expected.LeafSize == 0 || offset + length == expected.Length);
            end = fits
                ? offset + length
                : throw new ArgumentException($"{length} bytes at {offset} are no whole leaves behind {end}.", nameof(held));
        }

        // A stream that has failed says so to whoever reads it.
        if (_offer.Task.IsCompletedSuccessfully)
        {
            throw new InvalidOperationException($"It is known already what stream {Id} contains.");
        }

        _resumed = (expected, [.. held]);
    }

    /// <summary>What need not be fetched of the offered content.</summary>
    internal IReadOnlyList<(long Offset, long Length)> Held => _resumed is { } resumed && resumed.Offer == Offer ? resumed.Held : [];

    /// <summary>On a client: the primary's offer arrived. False when it contradicts what is known.</summary>
    internal bool TryApplyOffer(ContentOffer offer) =>
        !_offer.Task.IsCompleted
        && Incoming.TryOffer(offer.Length, _resumed is { } resumed && resumed.Offer == offer ? resumed.Held : [])
        && _offer.TrySetResult(offer);

    // WaitAsync on the source's own task would continue on the thread pool: docs/adr/0002.
    private async Task<ContentOffer?> AwaitOfferAsync() => await _offer.Task;

    private void ConcludeNoOffer()
    {
        if (!_offer.TrySetResult(null) && _offer.Task is { IsCompletedSuccessfully: true, Result: not null })
        {
            throw Violation("The primary writes to a stream that it has offered.");
        }
    }

    private void FailOffer(KwikException fault)
    {
        if (_offer.TrySetException(fault))
        {
            // Nobody may be waiting; the same fault is thrown by every read.
            _ = _offer.Task.Exception;
        }
    }
}
