using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <content>
/// The end of the primary, and what outlives it: streams whose content it had offered, as long as other servers send it. Nothing
/// else does, and no session is made anew behind the application's back.
/// </content>
public sealed partial class ClientSession
{
    // Why there is no primary any more; null while there is one.
    private KwikException? _primaryLoss;

    private void OnPrimaryEnded(KwikException reason)
    {
        KwikException fault = _primary.Goodbye is { Code: not KwikError.None } goodbye
            ? goodbye
            : reason.Code == KwikError.None
            ? new KwikException(KwikError.Cancelled, reason.Side, "The session was closed.", reason)
            : new KwikException(KwikError.PrimaryLost, reason.Side, $"The primary server was lost. {reason.Message}", reason, 0);
        bool isDeath = fault.Code == KwikError.PrimaryLost && Volatile.Read(ref _closing) == 0;
        ILookup<bool, ContentFetch> fetches = Fetches().ToLookup(fetch => isDeath && fetch.CanDoWithout(_primary.Id));

        lock (_gate)
        {
            _primaryLoss = fault;
        }

        _streams.Fail(fault, goesOn: stream => fetches[true].Any(fetch => fetch.StreamId == stream.Id));
        foreach (ContentFetch fetch in fetches[false])
        {
            fetch.End();
        }

        foreach (ContentFetch fetch in fetches[true])
        {
            _streams.Find(fetch.StreamId)?.OnPathLost(_primary.Id, fault.Code);
            fetch.EndRenewals();
            fetch.RemovePath(_primary.Id, new KwikException(KwikError.PathLost, fault.Side, fault.Message, fault, _primary.Id));
        }

        EndWhenNothingIsFetched();
    }

    /// <summary>Without a primary the session ends when all that was offered is here, given up, or cannot be had.</summary>
    private void EndWhenNothingIsFetched()
    {
        KwikException? fault;
        lock (_gate)
        {
            fault = _fetches.Values.Any(fetch => fetch.IsUnderWay) ? null : _primaryLoss;
        }

        if (fault is not null)
        {
            _streams.Fail(fault);
            _stopping.Cancel();
        }
    }
}
