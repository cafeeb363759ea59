using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

public sealed partial class PrimarySession
{
    private readonly AnnouncedPaths _paths;

    /// <summary>
    /// The paths of the client, as it tells: the one to this server, which is path 0, and those that
    /// <see cref="AddPathAsync"/> named; of those that were removed the last 64.
    /// </summary>
    public IReadOnlyList<PathInfo> GetAllPaths() => [DescribeOwnPath(0, ServerRole.Primary), .. _paths.Snapshot()];

    /// <summary>Those that the client can be sent data on, by its own word: Active and Degraded.</summary>
    public IReadOnlyList<PathInfo> GetActivePaths() => [.. GetAllPaths().Where(path => PathStates.Serves(path.State))];

    /// <summary>Those that the client lost and tries to get back: Dead and Recovering.</summary>
    public IReadOnlyList<PathInfo> GetDeadPaths() => [.. GetAllPaths().Where(path => PathStates.IsLost(path.State))];

    /// <summary>
    /// Sends the client to another server. Returns the number of the path when the client has connected and authenticated
    /// there.
    /// </summary>
    /// <exception cref="KwikException">The client refused, or could not connect; the code says why.</exception>
    public async Task<int> AddPathAsync(SecondaryServer server, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(server);
        server.Validate();
        (int pathId, Task added) = _paths.Announce(server);
        Link.Control.Send(new ControlFrame { AddPath = Describe(server, pathId) });
        await added.WaitAsync(cancellationToken);
        return pathId;
    }

    /// <summary>
    /// Takes a server out of the session, for good. The client asks others for what that server owes, closes the
    /// connection, and answers, which is what this waits for. Does nothing when the path is removed already.
    /// </summary>
    /// <exception cref="KwikException">NotFound: the session has no such path. Any other code: the session has ended.</exception>
    public async Task RemovePathAsync(int pathId, CancellationToken cancellationToken = default)
    {
        Task left = _paths.Leave(pathId, out bool isFirst);
        if (isFirst)
        {
            Link.Control.Send(new ControlFrame { RemovePath = new RemovePath { PathId = (uint)pathId } });
        }

        await left.WaitAsync(cancellationToken);
    }

    private bool TryTakePathFrame(ControlFrame frame)
    {
        switch (frame.BodyCase)
        {
            case ControlFrame.BodyOneofCase.PathAdded:
                _paths.OnAdded(frame.PathAdded);
                return true;
            case ControlFrame.BodyOneofCase.PathRemoved:
                _paths.OnRemoved(frame.PathRemoved);
                if (frame.PathRemoved.ErrorCode != 0)
                {
                    TellStreams((int)frame.PathRemoved.PathId, isThere: false, QuicErrors.FromWire((long)frame.PathRemoved.ErrorCode));
                }

                return true;
            case ControlFrame.BodyOneofCase.PathStatus:
                if (_paths.OnStatus(frame.PathStatus) is { } state && (PathStates.Serves(state) || PathStates.IsLost(state)))
                {
                    TellStreams((int)frame.PathStatus.PathId, PathStates.Serves(state), KwikError.PathLost);
                }

                return true;
            case ControlFrame.BodyOneofCase.TokenRequest:
                OnTokenRequest(frame.TokenRequest);
                return true;
            default:
                return false;
        }
    }

    /// <summary>Those that a path fills hear of it when it is gone, and why, and when it is there again.</summary>
    private void TellStreams(int pathId, bool isThere, KwikError error)
    {
        HashSet<long> granted;
        lock (_gate)
        {
            granted = _grants.StreamsOf(pathId);
        }

        foreach (KwikStream stream in _streams.Snapshot())
        {
            if (isThere)
            {
                stream.OnPathBack(pathId);
            }
            else if (stream.Offer is not null || granted.Contains(stream.Id))
            {
                stream.OnPathLost(pathId, error);
            }
        }
    }

    private void OnTokenRequest(TokenRequest request)
    {
        if (_paths.ServerOf(request.PathId) is { } server)
        {
            Link.Control.Send(new ControlFrame
            {
                Token = new Token { PathId = request.PathId, PathToken = SignToken(server, (int)request.PathId) },
            });
        }
    }

    private AddPath Describe(SecondaryServer server, int pathId)
    {
        var path = new AddPath
        {
            PathId = (uint)pathId,
            Host = server.Host,
            Port = (uint)server.Port,
            ServerName = server.ServerName ?? "",
            PathToken = SignToken(server, pathId),
        };
        path.Pins.AddRange(server.Pins.Select(pin => ByteString.CopyFrom(pin.Bytes)));
        return path;
    }

    private ByteString SignToken(SecondaryServer server, int pathId)
    {
        long now = Link.Environment.Time.GetUtcNow().ToUnixTimeSeconds();
        var token = new PathToken
        {
            SessionId = ByteString.CopyFrom(Id.ToByteArray(bigEndian: true)),
            PathId = (uint)pathId,
            ClientKey = ByteString.CopyFrom(ClientKey.Bytes),
            NotBefore = now,
            Expires = now + (long)StatementVerifier.Lifetime.TotalSeconds,
        };
        token.ServerKeys.AddRange(server.Pins.Select(pin => ByteString.CopyFrom(pin.Bytes)));
        return ByteString.CopyFrom(_signingKey.Sign(new Statement { PathToken = token }));
    }
}
