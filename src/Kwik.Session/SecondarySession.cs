using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// A client on a secondary server: it is served the ranges that it asks for, as far as its primary granted them.
/// </summary>
public sealed partial class SecondarySession : ServerSession
{
    /// <summary>Grants remembered for a client: as many as it may have public streams.</summary>
    private const int MaxGrants = 1024;

    private readonly StatementVerifier _verifier;

    // By content and the stream that it is for; touched by the control loop only.
    private readonly Dictionary<(ContentRoot Root, ulong StreamId), Grant> _grants = [];

    internal SecondarySession(ServerLink link, Guid id, int pathId, StatementVerifier verifier)
        : base(link, id)
    {
        PathId = pathId;
        _verifier = verifier;
    }

    /// <summary>The number that the primary gave to this server, for this client.</summary>
    public int PathId { get; }

    /// <summary>
    /// Opens an Internal stream to the client, waiting while it allows no more: bytes for the public stream that
    /// <see cref="SecondaryStream.SetKwikStreamMapping"/> names, as far as the primary granted them to this path. The
    /// client's application never sees it.
    /// </summary>
    /// <exception cref="KwikException">The session has ended.</exception>
    public Task<SecondaryStream> OpenStreamSync(CancellationToken cancellationToken = default) => Pushed.OpenAsync(cancellationToken);

    private protected override bool Admits(ContentAccess access)
    {
        (ContentRoot Root, ulong StreamId) content = (access.Root, access.StreamId);
        if (!access.Grant.IsEmpty
            && _verifier.Grant(access.Grant.Span, Id.ToByteArray(bigEndian: true), ClientKey) is { } shown
            && content.Root == new ContentRoot(shown.Root.Span)
            && (_grants.TryGetValue(content, out Grant? known) ? shown.Expires >= known.Expires : _grants.Count < MaxGrants))
        {
            _grants[content] = shown;
        }

        if (!_grants.TryGetValue(content, out Grant? grant))
        {
            return false;
        }

        if (_verifier.HasExpired(grant))
        {
            _grants.Remove(content);
            return false;
        }

        if (access.End > grant.Length)
        {
            return false;
        }

        Contents.Begin((long)access.StreamId, access.Root, asked: true);
        return true;
    }

    // A client opens no streams on a secondary besides control.
    private protected override KwikError Dispatch(StreamHeader header, ITransportStream stream) => KwikError.SecondaryStreamIsolation;

    private protected override void OnControl(ControlFrame frame)
    {
        if (frame.StreamClosed is { } closed)
        {
            foreach ((ContentRoot Root, ulong StreamId) content in _grants.Keys)
            {
                if (content.StreamId == closed.KwikStreamId)
                {
                    _grants.Remove(content);
                    Budget.GiveBack();
                }
            }

            Contents.Close((long)closed.KwikStreamId);
        }
    }

    private protected override void OnEnding(KwikException reason)
    {
        // Nothing waits here: every answer fails with its connection.
    }

    private protected override Task CloseStreamsAsync() => Pushed.CloseAsync();
}
