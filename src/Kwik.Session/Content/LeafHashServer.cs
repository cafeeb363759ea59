using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;
using LeafHashes = Kwik.Data.LeafHashes;
using WireHashes = Kwik.Data.Wire.LeafHashes;

namespace Kwik.Sessions;

/// <summary>
/// Answers the requests of one connection for leaf hashes, on its control stream: beside the ranges, whose leaves are of no
/// use without them. Safe for concurrent use.
/// </summary>
internal sealed class LeafHashServer(
    ControlChannel control, IContentProvider provider, Func<ContentAccess, bool> admits, TokenBucket budget)
{
    // A client needs one every 256 MiB, at the default leaf size, of each content. An answer is 32 KiB in memory.
    private const int MaxWaiting = 16;

    private readonly Lock _gate = new();
    private readonly Queue<LeafHashRequest> _queue = new();
    private readonly AsyncSignal _queued = new();

    /// <summary>Takes a request, or refuses it: too many, not admitted, or hashes that no content has.</summary>
    public void Enqueue(LeafHashRequest request)
    {
        if (request.Root.Length != ContentRoot.Size || request.FirstLeaf % LeafHashes.MaxCount != 0
            || request.FirstLeaf > (ulong)(Data.ContentOffer.MaxLength / ContentHasher.MinLeafSize))
        {
            throw new KwikException(
                KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, $"Leaf hash request {request.RequestId} has values out of range.");
        }

        if (!admits(new(request.KwikStreamId, new ContentRoot(request.Root.Span), 0, request.Grant)))
        {
            Refuse(request, KwikError.AuthenticationFailed);
            return;
        }

        lock (_gate)
        {
            if (_queue.Count < MaxWaiting)
            {
                _queue.Enqueue(request);
                _queued.Set();
                return;
            }
        }

        Refuse(request, KwikError.LimitExceeded);
    }

    /// <summary>Answers until the token is cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            if (TryDequeue() is { } request)
            {
                await AnswerAsync(request, cancellationToken);
            }
            else
            {
                await _queued.WaitAsync(cancellationToken);
            }
        }
    }

    private LeafHashRequest? TryDequeue()
    {
        lock (_gate)
        {
            return _queue.TryDequeue(out LeafHashRequest? request) ? request : null;
        }
    }

    private async Task AnswerAsync(LeafHashRequest request, CancellationToken cancellationToken)
    {
        await using IContent? content = await provider.OpenAsync(new ContentRoot(request.Root.Span), cancellationToken);
        // No leaf is shorter, but for the last one.
        if (content is null || (request.FirstLeaf > 0 && (long)request.FirstLeaf * ContentHasher.MinLeafSize >= content.Length))
        {
            Refuse(request, KwikError.NotFound);
            return;
        }

        try
        {
            LeafHashes hashes = await content.GetLeafHashesAsync((long)request.FirstLeaf, cancellationToken);
            control.Send(new ControlFrame
            {
                LeafHashes = new WireHashes
                {
                    RequestId = request.RequestId,
                    KwikStreamId = request.KwikStreamId,
                    Hashes = ByteString.CopyFrom(hashes.Hashes.Span),
                    Proof = ByteString.CopyFrom(hashes.Proof.Span),
                },
            });
            // As many as the content has pieces.
            budget.GiveBack();
        }
        catch (ArgumentOutOfRangeException)
        {
            Refuse(request, KwikError.NotFound);
        }
        catch (IOException)
        {
            Refuse(request, KwikError.ContentMismatch);
        }
    }

    private void Refuse(LeafHashRequest request, KwikError error) => control.Send(new ControlFrame
    {
        LeafHashes = new WireHashes { RequestId = request.RequestId, KwikStreamId = request.KwikStreamId, ErrorCode = (ulong)error },
    });
}
