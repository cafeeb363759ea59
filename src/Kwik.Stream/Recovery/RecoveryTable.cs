using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// Counts the faults of each server on each stream and says what the rules want done about the next one. Not safe for
/// concurrent use: the session's lock guards it.
/// </summary>
internal sealed class RecoveryTable(IReadOnlyList<RecoveryRule> rules)
{
    private readonly ILookup<KwikError, RecoveryAction> _actions = rules.ToLookup(rule => rule.Error, rule => rule.Action);
    private readonly Dictionary<(long Stream, int Path, KwikError Error), int> _faults = [];

    /// <summary>The action for this fault, which is counted.</summary>
    public RecoveryAction Next(long streamId, int pathId, KwikError error)
    {
        int before = _faults.GetValueOrDefault((streamId, pathId, error));
        _faults[(streamId, pathId, error)] = before + 1;
        RecoveryAction[] actions = [.. _actions[error]];
        return actions.Length == 0 ? RecoveryAction.RequestRetransmission : actions[Math.Min(before, actions.Length - 1)];
    }

    /// <summary>The stream is closed.</summary>
    public void Forget(long streamId)
    {
        foreach ((long Stream, int Path, KwikError Error) key in _faults.Keys)
        {
            if (key.Stream == streamId)
            {
                _faults.Remove(key);
            }
        }
    }
}
