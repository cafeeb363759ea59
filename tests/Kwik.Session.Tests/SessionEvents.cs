using System.Threading.Channels;
using Kwik.Sessions;

namespace Kwik.Session.Tests;

/// <summary>Waiting for what a session tells.</summary>
internal static class SessionEvents
{
    /// <summary>Reads events until a path comes into the state; fails when the session ends before.</summary>
    public static async Task<PathStateChanged> UntilAsync(this ChannelReader<SessionEvent> events, int pathId, PathState state)
    {
        while (true)
        {
            if (await events.ReadAsync() is PathStateChanged changed && changed.Path.Id == pathId && changed.Path.State == state)
            {
                return changed;
            }
        }
    }

    /// <summary>Reads to the end of the session: the states that a path came into, in order.</summary>
    public static async Task<List<PathState>> StatesAsync(this ChannelReader<SessionEvent> events, int pathId)
    {
        var states = new List<PathState>();
        while (await events.WaitToReadAsync())
        {
            while (events.TryRead(out SessionEvent? happened))
            {
                if (happened is PathStateChanged changed && changed.Path.Id == pathId)
                {
                    states.Add(changed.Path.State);
                }
            }
        }

        return states;
    }
}
