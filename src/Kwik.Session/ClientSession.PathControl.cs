using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

public sealed partial class ClientSession
{
    // A request for a token that stays without an answer is repeated after this time.
    private static readonly TimeSpan TokenPatience = TimeSpan.FromSeconds(5);

    private int _primaryBeat;

    /// <summary>Takes a frame that only the primary sends and that is about paths; false for every other frame.</summary>
    private bool TryTakePathFrame(ControlFrame frame)
    {
        switch (frame.BodyCase)
        {
            case ControlFrame.BodyOneofCase.AddPath:
                _beside.Start(() => LivePathAsync(frame.AddPath));
                return true;
            case ControlFrame.BodyOneofCase.RemovePath:
                OnRemovePath(frame.RemovePath);
                return true;
            case ControlFrame.BodyOneofCase.Token:
                OnToken(frame.Token);
                return true;
            default:
                return false;
        }
    }

    /// <summary>Tells the primary what becomes of the paths: each change at once, the rest beside its heartbeat.</summary>
    private async Task ReportPathsAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await _paths.HasNews.WaitAsync(cancellationToken);
            bool beat = Interlocked.Exchange(ref _primaryBeat, 0) == 1;
            if (beat)
            {
                RenewOldTokens();
            }

            foreach (ControlFrame news in _paths.TakeNews(everything: beat))
            {
                _primary.Control.Send(news);
            }
        }
    }

    private void OnPrimaryBeat()
    {
        Interlocked.Exchange(ref _primaryBeat, 1);
        _paths.HasNews.Set();
    }

    private void OnRemovePath(RemovePath request)
    {
        int pathId = PathIdOf(request.PathId, request);
        if (_paths.TryLeave(pathId, out PathEntry? path))
        {
            _beside.Start(() => RemovePathAsync(path));
        }
        else if (path is null or { State: PathState.Removed })
        {
            // Given up, and forgotten, just before. One that is being removed is answered when it is.
            _paths.Tell(new ControlFrame { PathRemoved = new PathRemoved { PathId = request.PathId } });
        }
    }

    /// <summary>Takes a path out of use, says goodbye to its server, and ends whatever the path is doing.</summary>
    private async Task RemovePathAsync(PathEntry path)
    {
        if (PathStates.Serves(path.State) && path.Connection is { } connection)
        {
            connection.Retire();
            await DrainAsync(connection, $"The primary removed path {path.Id}.");
            await connection.SayGoodbyeAsync(KwikError.None, "The primary removed this path.");
        }

        path.Stop.Cancel();
    }

    /// <summary>
    /// Ends what a path still owes before its connection is closed: ranges that were asked of it are asked of the others,
    /// and their answers are stopped; what it pushes has <see cref="SessionTimeouts.Close"/> to end by itself.
    /// </summary>
    private async Task DrainAsync(KwikPath path, string why)
    {
        var reason = new KwikException(KwikError.PathLost, KwikErrorSide.Remote, why, null, path.Id);
        foreach (ContentFetch fetch in Fetches())
        {
            fetch.RemovePath(path.Id, reason, only: path);
        }

        // What has not come by then is lost with the path, and the primary hears of it.
        await Background.EndsWithinAsync(() => _secondaries.DrainAsync(path.Id), SessionTimeouts.Close, _environment.Time);
    }

    private void OnToken(Token renewed)
    {
        int pathId = PathIdOf(renewed.PathId, renewed);
        HeldToken token = HeldToken.TryRead(renewed.PathToken, Id, renewed.PathId, _environment.Time)
            ?? throw Violation($"A token for path {pathId} is none.");
        if (_paths.Find(pathId) is { Role: ServerRole.Secondary } path)
        {
            path.Token = token;
            path.TokenAskedAt = 0;
        }
    }

    private void RenewOldTokens()
    {
        foreach (PathEntry path in _paths.Kept())
        {
            if (path.Token!.IsOld)
            {
                RenewToken(path);
            }
        }
    }

    /// <summary>Asks for a new token, unless one is on its way.</summary>
    private void RenewToken(PathEntry path)
    {
        if (path.TokenAskedAt == 0 || _environment.Time.GetElapsedTime(path.TokenAskedAt) > TokenPatience)
        {
            path.TokenAskedAt = _environment.Time.GetTimestamp();
            _paths.Tell(new ControlFrame { TokenRequest = new TokenRequest { PathId = (uint)path.Id } });
        }
    }

    private static int PathIdOf(uint pathId, object frame) => pathId is > 0 and <= int.MaxValue
        ? (int)pathId
        : throw Violation($"{frame.GetType().Name} names path {pathId}.");
}
