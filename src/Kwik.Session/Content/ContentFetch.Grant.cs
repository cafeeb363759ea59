using Google.Protobuf;
using Kwik.Data;

namespace Kwik.Sessions;

/// <content>
/// What is shown to secondaries so that they serve: each is shown every grant once, with the first request under it. One that
/// refuses a request which did not show the grant of the day is asked again with it, and has said no when it refuses that.
/// </content>
internal sealed partial class ContentFetch
{
    // A server that refuses an old grant is asked nothing for so long, in which the new one may come: it was due before, and
    // only crosses the refusal.
    private static readonly TimeSpan GrantPatience = TimeSpan.FromSeconds(2);

    private HeldGrant _grant;

    // Counts the grants that were held; 0 is none.
    private int _grantNumber = 1;

    // No primary is left that could renew it.
    private bool _isLastGrant;

    /// <summary>The primary has renewed the grant. What was asked under the old one stays asked.</summary>
    public void Renew(HeldGrant grant)
    {
        lock (_gate)
        {
            _grant = grant;
            _grantNumber++;
            foreach (Source source in _sources.Values)
            {
                source.GrantDue = null;
            }
        }

        Pump();
    }

    /// <summary>There is no primary any more: the grant that is held is the last.</summary>
    public void EndRenewals()
    {
        lock (_gate)
        {
            _isLastGrant = true;
            foreach (Source source in _sources.Values)
            {
                source.GrantDue = source.GrantDue is null ? null : TimeSpan.Zero;
            }
        }

        Pump();
    }

    /// <summary>A server said no to a request for a range, with which it was shown this grant, or none (0).</summary>
    public void Refused(RangeAnswer answer, KwikError error)
    {
        if (error == KwikError.AuthenticationFailed && MayAskAgain(answer.Path, answer.ShownGrant))
        {
            Ended(answer, KwikError.None);
            return;
        }

        _observer.RangeEnded(answer.Path, answer.Mapping, error);
        Refused(answer.Path.Id, error);
    }

    /// <summary>A server said no: it is not asked for this content again.</summary>
    private void Refused(int pathId, KwikError error)
    {
        bool hasExpired;
        lock (_gate)
        {
            hasExpired = error == KwikError.AuthenticationFailed && _isLastGrant && _grant.IsOld;
        }

        RemovePath(pathId, hasExpired
            ? new KwikException(
                KwikError.PrimaryLost,
                KwikErrorSide.Remote,
                $"Path {pathId} refused, because the grant has expired, and the primary, which would renew it, is lost.",
                null,
                pathId)
            : new KwikException(
                error == KwikError.None ? KwikError.Internal : error, KwikErrorSide.Remote, $"Path {pathId} refused ({error}).", null, pathId));
    }

    /// <summary>True when the refusal was of another grant than the one that this server is shown next, or may be shown soon.</summary>
    private bool MayAskAgain(KwikPath path, int shown)
    {
        lock (_gate)
        {
            if (!_sources.TryGetValue(path.Id, out Source? source) || source.Path != path || path.Role == ServerRole.Primary)
            {
                return false;
            }

            if (shown == _grantNumber)
            {
                if (_isLastGrant || !_grant.IsOld)
                {
                    return false;
                }

                source.GrantDue ??= Now + GrantPatience;
            }

            source.ShownGrant = 0;
            return true;
        }
    }

    /// <summary>To be sent along with a request: only the first one of a path shows it.</summary>
    private ByteString GrantLocked(Source source, out int shown)
    {
        if (source.Path.Role == ServerRole.Primary || source.ShownGrant == _grantNumber)
        {
            shown = 0;
            return ByteString.Empty;
        }

        shown = source.ShownGrant = _grantNumber;
        return _grant.Bytes;
    }

    /// <summary>Gives up a server that refused the old grant, when no new one has come in time.</summary>
    private Action? GiveUpWaitingLocked(TimeSpan now)
    {
        foreach (Source source in _sources.Values)
        {
            if (source.GrantDue <= now)
            {
                return () => Refused(source.Path.Id, KwikError.AuthenticationFailed);
            }
        }

        return null;
    }
}
