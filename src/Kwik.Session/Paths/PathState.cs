namespace Kwik.Sessions;

/// <summary>State of a path, as its client sees it.</summary>
/// <remarks>
/// <code>
///   Connecting --Connected--> Active &lt;--Heard/Silent--> Degraded
///                               |                          |
///                               +----------Lost------------+
///                               v
///       +--------------------- Dead &lt;------Lost------+
///       |                       |                     |
///       |                       +------Retry----> Recovering --Connected--> Active
///       v
///    Removed &lt;--Remove-- every other state
/// </code>
/// </remarks>
public enum PathState
{
    /// <summary>The first connection is being made.</summary>
    Connecting,

    /// <summary>Authenticated and answering.</summary>
    Active,

    /// <summary>Connected, but a heartbeat fell due and nothing had been heard since the one before it. Data is still asked of it.</summary>
    Degraded,

    /// <summary>Lost; nothing is asked of it. It waits for the next attempt.</summary>
    Dead,

    /// <summary>Lost, and being connected again.</summary>
    Recovering,

    /// <summary>Given up or taken away; it does not come back.</summary>
    Removed,
}

/// <summary>What can happen to a path.</summary>
internal enum PathInput
{
    /// <summary>A connection was made and authenticated.</summary>
    Connected,

    /// <summary>A heartbeat fell due and nothing had been heard since the one before it.</summary>
    Silent,

    /// <summary>Something was heard again.</summary>
    Heard,

    /// <summary>The connection ended, or could not be made again.</summary>
    Lost,

    /// <summary>Another attempt to connect begins.</summary>
    Retry,

    /// <summary>The path is given up, or was taken away.</summary>
    Remove,
}

/// <summary>The transitions that <see cref="PathState"/> draws.</summary>
internal static class PathStates
{
    /// <summary>False, and no change, when the input means nothing in this state.</summary>
    public static bool TryAdvance(PathState state, PathInput input, out PathState next)
    {
        next = (state, input) switch
        {
            (PathState.Connecting or PathState.Recovering, PathInput.Connected) => PathState.Active,
            (PathState.Active, PathInput.Silent) => PathState.Degraded,
            (PathState.Degraded, PathInput.Heard) => PathState.Active,
            (PathState.Active or PathState.Degraded or PathState.Recovering, PathInput.Lost) => PathState.Dead,
            (PathState.Dead, PathInput.Retry) => PathState.Recovering,
            (_, PathInput.Remove) => PathState.Removed,
            _ => state,
        };
        return next != state;
    }

    /// <summary>True while data can be asked of a path.</summary>
    public static bool Serves(PathState state) => state is PathState.Active or PathState.Degraded;

    /// <summary>True for a path that was lost and may come back.</summary>
    public static bool IsLost(PathState state) => state is PathState.Dead or PathState.Recovering;
}
