using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// A client on a secondary server: it is served the ranges that it asks for, as far as its primary granted them.
/// </summary>
public sealed class SecondarySession : ServerSession
{
    /// <summary>Grants remembered for a client: as many as it may have public streams.</summary>
    private const int MaxGrants = 1024;

    private readonly StatementVerifier _verifier;

    // By content root; touched by the control loop only.
    private readonly Dictionary<ContentRoot, (Grant Grant, ulong StreamId)> _grants = [];

    internal SecondarySession(ServerLink link, Guid id, int pathId, StatementVerifier verifier)
        : base(link, id)
    {
        PathId = pathId;
        _verifier = verifier;
    }

    /// <summary>The number that the primary gave to this server, for this client.</summary>
    public int PathId { get; }

    private protected override bool Admits(RangeRequest request)
    {
        var root = new ContentRoot(request.Root.Span);
        if (!request.Grant.IsEmpty
            && _verifier.Grant(request.Grant.Span, Id.ToByteArray(bigEndian: true), ClientKey) is { } shown
            && root == new ContentRoot(shown.Root.Span)
            && (_grants.Count < MaxGrants || _grants.ContainsKey(root)))
        {
            _grants[root] = (shown, request.KwikStreamId);
        }

        if (!_grants.TryGetValue(root, out var entry))
        {
            return false;
        }

        if (_verifier.HasExpired(entry.Grant))
        {
            _grants.Remove(root);
            return false;
        }

        return request.Offset + request.Length <= entry.Grant.Length;
    }

    // A client opens no streams on a secondary besides control.
    private protected override KwikError Dispatch(StreamHeader header, ITransportStream stream) => KwikError.SecondaryStreamIsolation;

    private protected override void OnControl(ControlFrame frame)
    {
        if (frame.StreamClosed is { } closed)
        {
            foreach ((ContentRoot root, (_, ulong streamId)) in _grants)
            {
                if (streamId == closed.KwikStreamId)
                {
                    _grants.Remove(root);
                }
            }
        }
    }

    private protected override void OnEnding(KwikException reason)
    {
        // Nothing waits here: every answer fails with its connection.
    }

    private protected override Task CloseStreamsAsync() => Task.CompletedTask;
}
