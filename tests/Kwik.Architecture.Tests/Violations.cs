namespace Kwik.Architecture.Tests;

/// <summary>Rules are functions that list what breaks them; this is how a test says that nothing does.</summary>
internal static class Violations
{
    public static void None(IEnumerable<string> found, string rule)
    {
        string[] all = [.. found];
        Assert.True(all.Length == 0, $"{rule}\n  {string.Join("\n  ", all)}");
    }
}
